use super::*;

const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

fn ids(content: &str) -> Result<Vec<i32>, KeyFileError> {
    Keyring::parse(content.as_bytes()).map(|keyring| keyring.iter().map(Key::id).collect())
}

#[test]
fn the_first_line_is_the_current_key() {
    let content = format!("# made by make key\n\n  7\t{ONE}  \r\n3 {TWO}");
    assert_eq!(ids(&content), Ok(vec![7, 3]));
    let keyring = Keyring::parse(content.as_bytes()).unwrap();
    assert_eq!(keyring.current().map(Key::id), Some(7));
    assert_eq!(keyring.get(3).unwrap().secret[0], 31);
    assert!(keyring.get(4).is_none());
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_without_the_key() {
    let short = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==";
    for (content, error) in [
        (String::new(), KeyFileError::Empty),
        ("# nothing\n \n".into(), KeyFileError::Empty),
        (format!("{ONE}\n"), KeyFileError::Line(1)),
        (format!("1 {ONE}\n2 {TWO} three"), KeyFileError::Line(2)),
        (format!("0 {ONE}"), KeyFileError::Id(1)),
        (format!("-1 {ONE}"), KeyFileError::Id(1)),
        (format!("+1 {ONE}"), KeyFileError::Id(1)),
        (format!("01 {ONE}"), KeyFileError::Id(1)),
        (format!("2147483648 {ONE}"), KeyFileError::Id(1)),
        (format!("1 {short}"), KeyFileError::Secret(1)),
        (format!("1 {ONE}{ONE}"), KeyFileError::Secret(1)),
        ("1 AAEC*wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(), KeyFileError::Secret(1)),
        (format!("1 {ONE}\n1 {TWO}"), KeyFileError::Duplicate(2)),
    ] {
        assert_eq!(ids(&content), Err(error), "{content:?}");
        assert!(!error.to_string().contains(&ONE[..8]), "{error}");
    }
}

#[test]
fn a_check_value_tells_keys_apart() {
    let key = |secret: &str| Keyring::parse(format!("1 {secret}").as_bytes()).unwrap().current().unwrap().clone();
    assert_eq!(key(ONE).check(), key(ONE).check());
    assert_ne!(key(ONE).check(), key(TWO).check());
    // Computed by `core/vectors.py` with Python's hmac.
    assert_eq!(hex::encode(key(ONE).check()), "250c1aa9339e29b2");
}

/// A buffer that is too small is moved, and the old one is freed as it is.
#[test]
fn no_key_is_left_in_a_buffer_that_grew() {
    for count in 1..100 {
        let content: String = (1..=count).map(|id| format!("# key {id}\n{id} {ONE}\n")).collect();
        let keyring = Keyring::parse(content.as_bytes()).unwrap();
        assert_eq!((keyring.0.len(), keyring.0.capacity()), (count, count));
    }
}
