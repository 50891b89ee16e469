use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const NOW: u64 = 1_800_000_000;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn name() -> KeyName {
    KeyName::from_number(0xfeed)
}

fn claims() -> Claims {
    Claims {
        iss: "tollgate-iam".into(),
        aud: JournalId(Uuid::from_u128(1)),
        sub: UserId(Uuid::from_u128(2)),
        default_workspace: WorkspaceId::default_workspace(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 3_600,
        jti: SessionId(Uuid::from_u128(3)),
        ae: 1,
        seq: Some(Seq(9)),
        user_context: None,
        act: None,
    }
}

fn expect_at(now: u64) -> Expect<'static> {
    Expect {
        issuer: "tollgate-iam",
        audience: JournalId(Uuid::from_u128(1)),
        now,
        max_life: 86_400,
    }
}

fn verify_at(now: u64, token: &str) -> Result<(TokenKind, Claims), TokenError> {
    let verified =
        verify(token, |kid| (kid == name()).then(|| key().verifying_key()), expect_at(now))?;
    assert_eq!(verified.key, name());
    Ok((verified.kind, verified.claims))
}

fn signed(claims: &Claims) -> String {
    sign(TokenKind::Session, name(), &key(), claims)
}

/// A token of our key over any header and payload.
fn forged(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = BASE64.encode(key().sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}

const HEADER: &str = r#"{"alg":"EdDSA","typ":"tollgate-session+jwt","kid":"000000000000feed"}"#;

#[test]
fn a_signed_token_verifies_until_its_end_and_leeway() {
    let token = signed(&claims());
    assert_eq!(verify_at(NOW, &token), Ok((TokenKind::Session, claims())));
    assert!(verify_at(NOW + 3_604, &token).is_ok());
    assert_eq!(verify_at(NOW + 3_605, &token), Err(TokenError::Expired));
    assert!(verify_at(NOW - 5, &token).is_ok());
    assert_eq!(verify_at(NOW - 6, &token), Err(TokenError::Time));
}

#[test]
fn header_rules() {
    let payload = serde_json::to_string(&claims()).unwrap();
    assert!(verify_at(NOW, &forged(HEADER, &payload)).is_ok());
    let with = |from: &str, to: &str| verify_at(NOW, &forged(&HEADER.replace(from, to), &payload));
    for (from, to) in [
        ("EdDSA", "none"),
        ("EdDSA", "HS256"),
        ("EdDSA", "eddsa"),
        (r#""EdDSA""#, r#"["EdDSA"]"#),
        ("tollgate-session+jwt", "JWT"),
        ("000000000000feed", "000000000000FEED"),
        ("000000000000feed", "feed"),
        (r#"{"alg""#, r#"{"alg":"EdDSA","alg""#),
        (r#"{"alg""#, r#"{"crit":["exp"],"alg""#),
        (r#"{"alg""#, r#"{"jwk":{},"alg""#),
    ] {
        assert_eq!(with(from, to), Err(TokenError::Header), "{to}");
    }
    assert_eq!(with("000000000000feed", "000000000000beef"), Err(TokenError::Key));
    let padded = format!(r#"{{"alg":"EdDSA","x":"{}"}}"#, "x".repeat(600));
    assert_eq!(verify_at(NOW, &forged(&padded, &payload)), Err(TokenError::Header));
}

#[test]
fn claim_rules() {
    let text = serde_json::to_string(&claims()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        verify_at(NOW, &forged(HEADER, &text.replace(from, to)))
    };
    let exp = format!(r#""exp":{}"#, NOW + 3_600);
    for (from, to) in [
        (&*exp, r#""exp":"9999999999""#),
        (&exp, r#""exp":1.8e9"#),
        (&exp, r#""exp":null"#),
        (&exp, r#""exp":true"#),
        (&exp, r#""exp":-1"#),
        (&exp, r#""exp":9007199254740993"#),
        (&exp, r#""x":1"#),
        (r#""ae":1"#, r#""ae":1,"ae":1"#),
        (r#""seq":9"#, r#""seq":9,"seq":9"#),
        (r#""seq":9"#, r#""seq":-9"#),
        (r#""seq":9"#, r#""seq":9007199254740993"#),
        (r#""ae":1"#, r#""ae":1,"x":1,"x":2"#),
        (r#""iss""#, r#""iss2""#),
        (r#""jti""#, r#""jtj""#),
        ("00000000-0000-0000-0000-000000000002", "root"),
        (r#""default""#, r#""""#),
    ] {
        assert_eq!(with(from, to), Err(TokenError::Claims), "{to}");
    }
    assert!(with(r#","seq":9"#, "").is_ok(), "a token of old");
    assert_eq!(with("tollgate-iam", "tollgate-iam2"), Err(TokenError::Audience));
    assert_eq!(with("000000000001", "000000000009"), Err(TokenError::Audience));
    assert_eq!(with(&exp, &format!(r#""exp":{}"#, NOW + 86_401)), Err(TokenError::Time));
    assert_eq!(with(&exp, &format!(r#""exp":{}"#, NOW - 10)), Err(TokenError::Expired));
    assert_eq!(
        verify_at(NOW, &forged(HEADER, &format!(r#"{{"x":"{}"}}"#, "x".repeat(7_000)))),
        Err(TokenError::Form),
        "beyond the longest token"
    );
}

#[test]
fn a_minted_token_says_who_minted_it_and_a_session_does_not() {
    let by = Minter { sub: UserId(Uuid::from_u128(4)), ae: 7 };
    let context = r#"{"tier": "gold", "of": ["a", "b"]}"#;
    let minted = Claims { act: Some(by), user_context: Some(context.to_owned()), ..claims() };
    let sign = |kind, claims: &Claims| sign(kind, name(), &key(), claims);
    let token = sign(TokenKind::Minted, &minted);
    assert_eq!(verify_at(NOW, &token), Ok((TokenKind::Minted, minted.clone())));
    let payload = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(payload.contains(&format!(r#""user_context":{context}"#)), "{payload}");
    assert!(payload.contains(r#""act":{"sub":"00000000-0000-0000-0000-000000000004","ae":7}"#));

    let refused = Err(TokenError::Claims);
    assert_eq!(verify_at(NOW, &sign(TokenKind::Session, &minted)), refused);
    assert_eq!(verify_at(NOW, &sign(TokenKind::Minted, &claims())), refused);
    let with_context = Claims { act: None, ..minted };
    assert_eq!(verify_at(NOW, &sign(TokenKind::Session, &with_context)), refused);
}

#[test]
fn form_and_signature_rules() {
    let token = signed(&claims());
    for broken in ["", ".", "a.b", "a.b.c.d", &format!("{token}="), &format!(" {token}")] {
        assert_eq!(verify_at(NOW, broken), Err(TokenError::Form), "{broken}");
    }
    let (signed_part, _) = token.rsplit_once('.').unwrap();
    let other = SigningKey::from_bytes(&[8; 32]);
    let foreign = BASE64.encode(other.sign(signed_part.as_bytes()).to_bytes());
    for signature in [foreign.as_str(), "AAAA", &BASE64.encode([0; 64])] {
        let token = format!("{signed_part}.{signature}");
        assert_eq!(verify_at(NOW, &token), Err(TokenError::Signature));
    }
    // Stray bits in the last character of the signature: 64 bytes leave four unused.
    let last = token.chars().last().unwrap();
    let stray = char::from(last as u8 + 1);
    let stray_bits = format!("{}{stray}", &token[..token.len() - 1]);
    assert_ne!(verify_at(NOW, &stray_bits).err(), None);
}

proptest! {
    #[test]
    fn one_changed_byte_never_verifies(at in 0..300_usize, to in "[A-Za-z0-9_.-]") {
        let token = signed(&claims());
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to.as_bytes()[0];
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(verify_at(NOW, &changed).is_ok(), changed == token);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        prop_assert!(verify_at(NOW, &text).is_err());
    }
}
