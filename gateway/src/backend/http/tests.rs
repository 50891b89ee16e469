use super::header;

#[test]
fn no_name_ends_a_header_or_starts_another() {
    let check = |name: &str, expect: &str| assert_eq!(header(name).unwrap(), expect);
    check("default", "default");
    check("thru/any/thing", "thru/any/thing");
    check("a\r\ntollgate-principal: admin", "a%0D%0Atollgate-principal:%20admin");
    check("50%", "50%25");
    check("größe", "gr%C3%B6%C3%9Fe");
    check("", "");
}
