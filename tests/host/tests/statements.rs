//! How many SQL statements an act takes inside its function.

use host_tests::{Client, Server, Session};

/// The statements that one act runs, the outer one left out.
fn nested(server: &Server, act: impl FnOnce()) -> Vec<String> {
    let before = server.log().len();
    act();
    server.log()[before..]
        .lines()
        .filter_map(|line| line.split_once("Query Text: "))
        .map(|(_, text)| text.to_owned())
        .filter(|text| !text.contains("backup_codes_"))
        .collect()
}

#[test]
fn an_accepted_consume_takes_five_statements_and_a_typing_error_none() {
    let server = Server::start(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_nested_statements=on",
    ]);
    let database = server.database();
    let mut client: Client = database.connect();
    let codes = client.generate("42");
    let accepted = nested(&server, || assert!(client.consume("42", &codes[0])));
    assert_eq!(accepted.len(), 5, "{accepted:#?}");
    let mistyped =
        codes[1].replacen(|c: char| c.is_ascii_alphanumeric(), if codes[1].starts_with('Z') { "Y" } else { "Z" }, 1);
    let mistyped = nested(&server, || assert!(!client.consume("42", &mistyped)));
    assert_eq!(mistyped.len(), 0, "{mistyped:#?}");
    let of_another_format = nested(&server, || assert!(!client.consume("42", "123456")));
    assert_eq!(of_another_format.len(), 1, "{of_another_format:#?}");
    // Whoever can see the log must not learn from it who has codes.
    let stranger = nested(&server, || assert!(!client.consume("nobody", &codes[0])));
    let known = nested(&server, || assert!(!client.consume("42", "00000-00000-00000-00000-00000")));
    assert_eq!(stranger[..3], known[..3]);
}
