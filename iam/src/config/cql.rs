//! `[iam.cql]`: where the cluster is that keeps the journal, and how it is spoken to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::filled;

/// The most copies in a data centre.
const MAX_COPIES: u8 = 15;
/// The longest name of a keyspace.
const MAX_KEYSPACE: usize = 48;

/// `[iam.cql]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CqlSettings {
    /// Nodes of the cluster, `host:port`; whichever answers tells of the others.
    pub contact_points: Vec<String>,
    /// The keyspace, which is made if it is not there.
    pub keyspace: Keyspace,
    /// How many copies of it there are, when it is made.
    pub replication: Replication,
    /// The data centre in which every node of IAM is; empty: they are in several.
    pub datacenter: String,
    /// Whose certificates to trust; none: without TLS, on loopback only.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Who this is; empty: nobody.
    pub user: String,
    /// The file with its password.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

impl CqlSettings {
    /// Whether all of the cluster's addresses are on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.contact_points.iter().all(|point| {
            let host = point.rsplit_once(':').map_or(point.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }
}

/// The name of a keyspace that needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keyspace(String);

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Keyspace> for String {
    fn from(keyspace: Keyspace) -> Self {
        keyspace.0
    }
}

impl TryFrom<String> for Keyspace {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        if is_plain && begins_well && name.len() <= MAX_KEYSPACE {
            Ok(Self(name))
        } else {
            Err("a keyspace has at most 48 of a-z, 0-9 and _, and begins with a letter")
        }
    }
}

/// How many copies there are: `3`, or for each data centre `east:3,west:3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Copies", into = "String")]
pub struct Replication {
    text: String,
    copies: Vec<(String, u8)>,
}

/// As it may be written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Copies {
    Everywhere(u8),
    Text(String),
}

impl TryFrom<Copies> for Replication {
    type Error = &'static str;

    fn try_from(copies: Copies) -> Result<Self, Self::Error> {
        match copies {
            Copies::Everywhere(copies) => copies.to_string().try_into(),
            Copies::Text(text) => text.try_into(),
        }
    }
}

impl Replication {
    /// As `CREATE KEYSPACE` wants it.
    pub fn to_cql(&self) -> String {
        let copies = self.copies.iter().map(|(place, copies)| format!(", '{place}': {copies}"));
        format!("{{'class': 'NetworkTopologyStrategy'{}}}", copies.collect::<String>())
    }
}

impl From<Replication> for String {
    fn from(replication: Replication) -> Self {
        replication.text
    }
}

impl TryFrom<String> for Replication {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let count =
            |text: &str| text.parse().ok().filter(|copies| (1..=MAX_COPIES).contains(copies));
        let is_plain = |name: &str| {
            let fits =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            !name.is_empty() && name.bytes().all(fits)
        };
        let everywhere = count(&text).map(|copies| vec![("replication_factor".to_owned(), copies)]);
        let one = |part: &str| {
            let (name, copies) = part.split_once(':')?;
            is_plain(name).then_some((name.to_owned(), count(copies)?))
        };
        let copies = everywhere.or_else(|| text.split(',').map(one).collect());
        let copies = copies
            .ok_or("copies are a number from 1 to 15, or one for each data centre: a:3,b:3")?;
        Ok(Self { text, copies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_needs_no_quotes() {
        for name in ["tollgate", "t_1"] {
            assert_eq!(Keyspace::try_from(name.to_owned()).unwrap().to_string(), name);
        }
        for name in ["", "1t", "Tollgate", "a-b", "a;", &"a".repeat(49)] {
            assert!(Keyspace::try_from(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn copies_are_of_the_cluster_or_of_each_data_centre() {
        let check = |text: &str, expect: Option<&str>| {
            let replication = Replication::try_from(text.to_owned());
            let expect =
                expect.map(|rest| format!("{{'class': 'NetworkTopologyStrategy', {rest}}}"));
            assert_eq!(replication.ok().map(|replication| replication.to_cql()), expect, "{text}");
        };
        check("3", Some("'replication_factor': 3"));
        check("east:3,west-2:1", Some("'east': 3, 'west-2': 1"));
        for text in ["", "0", "16", "east", "east:0", "ea'st:1", ":1", "3,east:1"] {
            check(text, None);
        }
    }

    #[test]
    fn a_cluster_is_local_if_all_of_it_is() {
        let check = |points: &[&str], expect: bool| {
            let settings = CqlSettings {
                contact_points: points.iter().map(ToString::to_string).collect(),
                keyspace: Keyspace("t".to_owned()),
                replication: "1".to_owned().try_into().unwrap(),
                datacenter: String::new(),
                ca_file: None,
                user: String::new(),
                password_file: None,
            };
            assert_eq!(settings.is_local(), expect, "{points:?}");
        };
        check(&["127.0.0.1:9042", "[::1]:9042", "localhost:1"], true);
        check(&["127.0.0.1:9042", "10.0.0.1:9042"], false);
        check(&["db.example:9042"], false);
    }
}
