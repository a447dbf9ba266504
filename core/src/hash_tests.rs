use super::*;

/// Computed by `core/vectors.py` with Python's hashlib, hmac and argon2-cffi over the layout in the reference, not with this
/// code.
struct Vector {
    salt: u8,
    symbols: &'static str,
    scheme: Scheme,
    hash: &'static str,
    /// Under the key of the bytes 0 to 31.
    keyed: &'static str,
}

const fn vector(salt: u8, symbols: &'static str, scheme: Scheme, hash: &'static str, keyed: &'static str) -> Vector {
    Vector { salt, symbols, scheme, hash, keyed }
}

const VECTORS: &[Vector] = &[
    vector(
        0,
        "7Q4KM2XW9FH8ZTCB5NRDP3VJ",
        Scheme::Sha256,
        "fa188160befadc4b6f01839f11a1dafe",
        "2b4e939cec753f61202fd42fa61172dd",
    ),
    vector(
        90,
        "0123456789ABCDEFGHJKMNPQ",
        Scheme::Sha256,
        "da93b9772a5e89c0b585b2ec8f8edfb4",
        "fddea51052076ba4ca7e43d343ecabfe",
    ),
    vector(
        255,
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        Scheme::Sha256,
        "29ec8fa0094fc1b3ba46318357d1d868",
        "6c46bcd94d895e2eda413df1275bf23a",
    ),
    vector(
        1,
        "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        Scheme::Sha256,
        "d17346b7715a26b7937ef0729ce970f9",
        "5f497d48512d76eb419e32def0a7f1ac",
    ),
    vector(
        7,
        "0123456789012345678901234567890123456789",
        Scheme::Sha256,
        "b49e665afcbc2ea8f06882ceec3b6da9",
        "8134c8a9eb9315fff8d5d8a39ce0327d",
    ),
    vector(
        0,
        "0a1b2c3d4e",
        Scheme::Argon2id { memory: 8192, iterations: 1 },
        "01ce913c0a616d10a97c244abb73df7e",
        "3bec5a80961a0e3fe13ff66f46b95a33",
    ),
    vector(
        255,
        "12345678",
        Scheme::Argon2id { memory: 19456, iterations: 2 },
        "e5604c9678989c5a9332ee62250d08ed",
        "0c942ae06f6a234be61f484c674b3d36",
    ),
];

fn key() -> Key {
    let line = b"1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    crate::keyring::Keyring::parse(line).unwrap().current().unwrap().clone()
}

#[test]
fn digests_match_the_fixed_vectors() {
    for vector in VECTORS {
        for (key, expected) in [(None, vector.hash), (Some(&key()), vector.keyed)] {
            let hash = vector.scheme.hash(key, &[vector.salt; SALT_LEN], vector.symbols.as_bytes()).unwrap();
            assert_eq!(hex::encode(hash), expected, "salt {}, symbols {}", vector.salt, vector.symbols);
        }
    }
}

#[test]
fn the_digest_binds_scheme_salt_symbols_and_key() {
    let hash = |scheme: Scheme, salt: u8, symbols: &str, key: Option<&Key>| {
        scheme.hash(key, &[salt; SALT_LEN], symbols.as_bytes()).unwrap()
    };
    let argon2id = |memory, iterations| Scheme::Argon2id { memory, iterations };
    for scheme in [Scheme::Sha256, argon2id(8192, 1)] {
        let one = hash(scheme, 1, "ABCD", None);
        assert_eq!(one, hash(scheme, 1, "ABCD", None));
        assert_ne!(one, hash(scheme, 2, "ABCD", None));
        assert_ne!(one, hash(scheme, 1, "ABCE", None));
        assert_ne!(one, hash(scheme, 1, "ABCD", Some(&key())));
        assert_ne!(one, hash(argon2id(8193, 1), 1, "ABCD", None));
        assert_ne!(one, hash(argon2id(8192, 2), 1, "ABCD", None));
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
