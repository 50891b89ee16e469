use super::*;

const DEFAULTS: &str = "
[gateway]
listen = \"127.0.0.1:8088\"
origins = [\"*\"]
[gateway.compat]
url_token = false
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    gateway: Gateway,
    log: LogSettings,
    link: LinkSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gateway {
    listen: std::net::SocketAddr,
    origins: Vec<String>,
    compat: Compat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compat {
    url_token: bool,
}

fn load_from(file: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, file).unwrap();
    let flags = Flags { file: Some(path), settings: vec![] };
    let environment = environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    load(&[DEFAULTS, SHARED_DEFAULTS], &flags, environment)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn later_sources_win_and_foreign_sections_are_left() {
    let file = "[gateway]\nlisten = \"127.0.0.1:1\"\n[iam]\nanything = 1\n";
    let environment = [
        ("TOLLGATE_GATEWAY__LISTEN", "127.0.0.1:2"),
        ("TOLLGATE_GATEWAY__COMPAT__URL_TOKEN", "true"),
        ("TOLLGATE_GATEWAY__ORIGINS", "[\"https://a\"]"),
        ("TOLLGATE_URL", "not a setting"),
    ];
    let settings = load_from(file, &environment).unwrap();
    assert_eq!(settings.gateway.listen.port(), 2);
    assert!(settings.gateway.compat.url_token);
    assert_eq!(settings.gateway.origins, ["https://a"]);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.link.lease.to_string(), "5s");
}

#[test]
fn errors_name_source_key_and_what_is_valid() {
    let check = |file, environment: &[_], expect: &str| {
        let error = load_from(file, environment).unwrap_err();
        assert!(error.contains(expect), "{error}\nlacks\n{expect}");
    };
    check(
        "[gateway]\nlissten = 1\n",
        &[],
        "t.toml: gateway.lissten: unknown field `lissten`, expected one of `listen`, `origins`, `compat`",
    );
    check("[gatewy]\n", &[], "t.toml: unknown section [gatewy]; known are [gateway]");
    check("[gateway]\nlisten = \"x\"\n", &[], "t.toml: gateway.listen: invalid socket address");
    check("[gateway\n", &[], "t.toml: TOML parse error at line 1");
    check(
        "[link]\nlease = \"5\"\n",
        &[],
        "t.toml: link.lease: \"5\" is not a whole number with ms",
    );
    check("[log]\nformat = \"xml\"\n", &[], "unknown variant `xml`, expected `text` or `json`");
    check(
        "",
        &[("TOLLGATE_GATEWAY__COMPAT__URL_TOKENS", "true")],
        "environment TOLLGATE_GATEWAY__COMPAT__URL_TOKENS: gateway.compat.url_tokens: unknown field",
    );
    check("", &[("TOLLGATE_GATEWY__X", "1")], "unknown section [gatewy]");
}

#[test]
fn a_named_file_must_be_there() {
    let flags = Flags { file: Some("/nowhere/t.toml".into()), settings: vec![] };
    let error = load::<Settings>(&[DEFAULTS, SHARED_DEFAULTS], &flags, []).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/t.toml: No such file"), "{error}");
}

#[test]
fn flags_win_over_all() {
    let flags = Flags { file: None, settings: vec![("gateway.listen", "127.0.0.1:9".into())] };
    let environment = [("TOLLGATE_GATEWAY__LISTEN".into(), "127.0.0.1:2".into())];
    let settings: Settings = load(&[DEFAULTS, SHARED_DEFAULTS], &flags, environment).unwrap();
    assert_eq!(settings.gateway.listen.port(), 9);
}

#[test]
fn differences_are_named_by_their_paths() {
    let table = |text: &str| text.parse::<Table>().unwrap();
    let one = table("a = 1\ngone = 1\n[b]\nc = [1]\nd = 1\n[b.e]\nf = 1\n");
    let other = table("a = 1\n[b]\nc = [2]\nd = 1\nnew = 1\n[b.e]\nf = 2\n");
    assert_eq!(differences(&one, &other), ["b.c", "b.e.f", "b.new", "gone"]);
    assert!(differences(&one, &one).is_empty());
}
