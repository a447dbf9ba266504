use std::collections::HashMap;

use super::join;

/// Every text of up to `longest` of these bytes.
fn texts(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
    let mut texts = vec![vec![]];
    let mut begin = 0;
    for _ in 0..longest {
        let end = texts.len();
        for index in begin..end {
            for byte in alphabet {
                let mut longer = texts[index].clone();
                longer.push(*byte);
                texts.push(longer);
            }
        }
        begin = end;
    }
    texts
}

fn parts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn parts_are_joined_with_a_colon_and_escaped() {
    for (given, joined) in [
        (&["acme", "42"][..], "acme:42"),
        (&["", ""], ":"),
        (&["a", "", "b"], "a::b"),
        (&["a:b", "c"], r"a\:b:c"),
        (&["a", "b:c"], r"a:b\:c"),
        (&[r"a\", "b"], r"a\\:b"),
        (&["Käthe", "😀"], "Käthe:😀"),
    ] {
        assert_eq!(join(&parts(given)), joined.as_bytes(), "{given:?}");
    }
}

/// By exhaustion: every key of two, and of three, parts of a separator, an escape and a letter.
#[test]
fn no_two_keys_are_one_user() {
    let mut keys: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    let mut give = |key: Vec<Vec<u8>>| {
        if let Some(other) = keys.insert(join(&key), key.clone()) {
            panic!("{other:?} and {key:?} give the same text");
        }
    };
    let long = texts(b":\\a", 4);
    for a in &long {
        for b in &long {
            give(vec![a.clone(), b.clone()]);
        }
    }
    let short = texts(b":\\a", 2);
    for a in &short {
        for b in &short {
            for c in &short {
                give(vec![a.clone(), b.clone(), c.clone()]);
            }
        }
    }
    assert_eq!(keys.len(), 121 * 121 + 13 * 13 * 13);
}
