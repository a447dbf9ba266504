use super::*;
use crate::code::Alphabet;
use crate::keyring::Keyring;

const LONGEST_USER_ID: &str = match std::str::from_utf8(&[b'x'; 255]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

const DEFAULT: Sealed<'static> = Sealed {
    user_id: "42",
    salt: &[0; 16],
    scheme: Scheme::Sha256,
    format: Format { alphabet: Alphabet::Base32, length: 25 },
    generated_at: 0,
    expires_at: None,
};

/// Computed by `core/vectors.py` with Python's hmac over the layout in the reference, not with this code. The key is the bytes
/// 0 to 31.
const VECTORS: &[(Sealed<'static>, &str)] = &[
    (DEFAULT, "a20e18c8f1870d5c46fbcd06defb440b"),
    (Sealed { expires_at: Some(86_400_000_000), ..DEFAULT }, "1c6782a962fb086757485d875ea87186"),
    (
        Sealed {
            user_id: "zoë@example.org",
            salt: &[90; 16],
            scheme: Scheme::Argon2id { memory: 19456, iterations: 2 },
            format: Format { alphabet: Alphabet::Decimal, length: 8 },
            generated_at: 846_028_800_123_456,
            expires_at: Some(877_564_800_123_456),
        },
        "02f82a4f32536c9213889e737f06a580",
    ),
    (
        Sealed {
            user_id: LONGEST_USER_ID,
            salt: &[255; 16],
            scheme: Scheme::Argon2id { memory: 8192, iterations: 1 },
            format: Format { alphabet: Alphabet::Hex, length: 64 },
            generated_at: -1,
            expires_at: None,
        },
        "01c192ce13f8e3ad575375f30944c883",
    ),
];

fn keys() -> Keyring {
    let lines = "1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n2 Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    Keyring::parse(lines.as_bytes()).unwrap()
}

#[test]
fn seals_match_the_fixed_vectors() {
    let keys = keys();
    let key = keys.get(1).unwrap();
    for (sealed, expected) in VECTORS {
        assert_eq!(hex::encode(sealed.seal(key)), *expected, "{sealed:?}");
        assert!(sealed.checks(key, &sealed.seal(key)));
    }
}

#[test]
fn a_seal_checks_for_its_own_facts_and_key_only() {
    let keys = keys();
    let (key, other) = (keys.get(1).unwrap(), keys.get(2).unwrap());
    let argon2id = |memory, iterations| Scheme::Argon2id { memory, iterations };
    let format = |alphabet, length| Format { alphabet, length };
    let mut sets = vec![
        DEFAULT,
        Sealed { user_id: "43", ..DEFAULT },
        Sealed { user_id: "4", ..DEFAULT },
        Sealed { user_id: "", ..DEFAULT },
        // A byte does not wander between two parts.
        Sealed { user_id: "42\0", ..DEFAULT },
        Sealed { salt: b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00s", ..DEFAULT },
        Sealed { user_id: "4", salt: b"2\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ..DEFAULT },
        Sealed { generated_at: 1, ..DEFAULT },
        Sealed { expires_at: Some(0), ..DEFAULT },
        Sealed { expires_at: Some(1), ..DEFAULT },
        Sealed { generated_at: 1, expires_at: Some(0), ..DEFAULT },
        Sealed { expires_at: Some(-1), ..DEFAULT },
    ];
    sets.extend([argon2id(8192, 1), argon2id(8192, 2), argon2id(8193, 1)].map(|scheme| Sealed { scheme, ..DEFAULT }));
    let formats = [format(Alphabet::Base32, 24), format(Alphabet::Hex, 25), format(Alphabet::Decimal, 25)];
    sets.extend(formats.map(|format| Sealed { format, ..DEFAULT }));
    for (i, set) in sets.iter().enumerate() {
        let seal = set.seal(key);
        for (j, another) in sets.iter().enumerate() {
            assert_eq!(another.checks(key, &seal), i == j, "{set:?}, {another:?}");
        }
        assert!(!set.checks(other, &seal));
    }
}

#[test]
fn a_seal_with_one_wrong_bit_does_not_check() {
    let keys = keys();
    let key = keys.get(1).unwrap();
    for bit in 0..8 * SEAL_LEN {
        let mut seal = DEFAULT.seal(key);
        seal[bit / 8] ^= 1 << (bit % 8);
        assert!(!DEFAULT.checks(key, &seal), "bit {bit}");
    }
}
