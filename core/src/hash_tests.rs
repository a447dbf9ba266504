use super::*;

const LONGEST_USER_ID: &str = match std::str::from_utf8(&[b'x'; 255]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

/// Computed with Python's hashlib, hmac and argon2-cffi over the layout in the reference, not with this code.
struct Vector {
    user_id: &'static str,
    salt: u8,
    symbols: &'static str,
    scheme: Scheme,
    hash: &'static str,
    /// Under the key of the bytes 0 to 31.
    keyed: Option<&'static str>,
}

const fn sha256(
    user_id: &'static str,
    salt: u8,
    symbols: &'static str,
    hash: &'static str,
    keyed: Option<&'static str>,
) -> Vector {
    Vector { user_id, salt, symbols, scheme: Scheme::Sha256, hash, keyed }
}

const VECTORS: &[Vector] = &[
    sha256(
        "42",
        0,
        "7Q4KM2XW9FH8ZTCB5NRDP3VJ",
        "f702a3136a76ff77a12038dfd54f12c6",
        Some("3be8346d161002f271ac1e0d6602729f"),
    ),
    sha256(
        "00000000-0000-4000-8000-000000000001",
        90,
        "0123456789ABCDEFGHJKMNPQ",
        "bea335b40563239c28600b6f98414fef",
        None,
    ),
    sha256("zoë@example.org", 255, "ZZZZZZZZZZZZZZZZZZZZZZZZ", "8631dccd2a3e5890ced064adb2e59a09", None),
    sha256(LONGEST_USER_ID, 1, "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "7b9ebfbd277ed290e2fc841f1665bbf1", None),
    sha256("acme:42", 7, "0123456789012345678901234567890123456789", "6938d7b15168ef3a406d19dc3cd7f2e3", None),
    Vector {
        user_id: "42",
        salt: 0,
        symbols: "0a1b2c3d4e",
        scheme: Scheme::Argon2id { memory: 8192, iterations: 1 },
        hash: "ae034d1c959cac2e3101086f83f3baed",
        keyed: Some("71ab8e23fad00b18278ca119aa061110"),
    },
    Vector {
        user_id: "zoë@example.org",
        salt: 255,
        symbols: "12345678",
        scheme: Scheme::Argon2id { memory: 19456, iterations: 2 },
        hash: "3d9f904add8f986162a82ed68eeae427",
        keyed: Some("96c4296ea934afaacc2cc76dad45fda5"),
    },
];

fn key() -> Key {
    let line = b"1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    crate::keyring::Keyring::parse(line).unwrap().current().unwrap().clone()
}

#[test]
fn digests_match_the_fixed_vectors() {
    for vector in VECTORS {
        let hex = |key: Option<&Key>| -> String {
            let hash = vector
                .scheme
                .hash(key, vector.user_id.as_bytes(), &[vector.salt; SALT_LEN], vector.symbols.as_bytes())
                .unwrap();
            hash.iter().map(|b| format!("{b:02x}")).collect()
        };
        assert_eq!(hex(None), vector.hash, "user {:?}, symbols {}", vector.user_id, vector.symbols);
        if let Some(keyed) = vector.keyed {
            assert_eq!(hex(Some(&key())), keyed, "user {:?}, symbols {}", vector.user_id, vector.symbols);
        }
    }
}

#[test]
fn the_digest_binds_user_salt_symbols_and_key() {
    for scheme in [Scheme::Sha256, Scheme::Argon2id { memory: 8192, iterations: 1 }] {
        let hash = |user: &str, salt: u8, symbols: &str, key: Option<&Key>| {
            scheme.hash(key, user.as_bytes(), &[salt; SALT_LEN], symbols.as_bytes()).unwrap()
        };
        let one = hash("42", 1, "ABCD", None);
        assert_eq!(one, hash("42", 1, "ABCD", None));
        assert_ne!(one, hash("43", 1, "ABCD", None));
        assert_ne!(one, hash("42", 2, "ABCD", None));
        assert_ne!(one, hash("42", 1, "ABCE", None));
        assert_ne!(one, hash("42", 1, "ABCD", Some(&key())));
        // The length prefix keeps a byte from wandering between user and salt.
        assert_ne!(hash("4", b'2', "X", None), hash("42", b'2', "X", None));
    }
}

#[test]
fn a_scheme_is_found_by_its_parts() {
    for scheme in [Scheme::Sha256, Scheme::Argon2id { memory: 19456, iterations: 2 }] {
        assert_eq!(Scheme::from_parts(scheme.letter(), scheme.costs()), Some(scheme));
    }
    assert_eq!(Scheme::from_parts(b'm', None), None);
    assert_eq!(Scheme::from_parts(b'a', None), None);
}

/// A hash function's state holds what it was given: symbols of a code, or a key in HMAC, which is made of two such states.
/// That this compiles is the test.
#[test]
fn keys_and_states_are_wiped_when_dropped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<Key>();
    wiped::<Sha256>();
}
