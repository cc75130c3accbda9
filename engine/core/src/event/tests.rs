use super::*;

#[test]
fn an_event_is_one_flat_object_with_its_kind() {
    let event = Event {
        seq: 7,
        at: Moment::from_millis(1_795_314_600_123),
        run: "20261122T023000-k3f9".parse().expect("a run id"),
        kind: EventKind::StepFinished {
            step: "smoke".parse().expect("a step id"),
            attempt: 1,
            outcome: Outcome::Failed,
            reason: Some("exit 1".into()),
            exit_code: Some(1),
            signal: None,
            duration_ms: 12,
            outputs: IndexMap::new(),
            log_sha256: None,
            dropped_bytes: 0,
            recovered: false,
            by: Vec::new(),
            choice: None,
            fields: IndexMap::new(),
            values: IndexMap::new(),
            warnings: Vec::new(),
        },
    };
    let line = serde_json::to_string(&event).expect("serializes");
    assert_eq!(
        line,
        r#"{"seq":7,"at":"2026-11-22T02:30:00.123Z","run":"20261122T023000-k3f9","kind":"step_finished","step":"smoke","attempt":1,"outcome":"failed","reason":"exit 1","exit_code":1,"signal":null,"duration_ms":12,"outputs":{}}"#
    );
    assert_eq!(Event::from_json(&line).expect("reads back"), event);
}

#[test]
fn an_unknown_kind_is_an_error() {
    let line =
        r#"{"seq":1,"at":"2026-11-22T02:30:00.123Z","run":"20261122T023000-k3f9","kind":"teleported"}"#;
    assert!(Event::from_json(line).is_err());
}

/// Read by serde's own way: all fields collected first.
fn collected(line: &str) -> Result<EventKind, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let kind = Collected::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(kind)
}

/// What is said of a line, without the place in it.
fn complaint(error: &serde_json::Error) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
}

#[test]
fn a_line_is_read_as_if_its_fields_had_been_collected_first() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let note = |more: &str| format!(r#"{{"seq":1,"kind":"note","by":"ana","text":"x"{more}}}"#);
    let lines = [
        note(""),
        // Where the kind stands, and how often.
        r#"{"kind":"note","by":"ana","text":"x","seq":1}"#.into(),
        r#"{"by":"ana","seq":1,"kind":"note","text":"x"}"#.into(),
        r#"{"by":"ana","text":"x","more":{"a":[1,null]},"kind":"note"}"#.into(),
        r#"{"seq":1,"kind":"note","by":"ana","kind":"note","text":"x"}"#.into(),
        r#"{"kind":"note","kind":"sealed","by":"ana","text":"x"}"#.into(),
        r#"{"seq":1,"by":"ana","text":"x"}"#.into(),
        "{}".into(),
        r#"{"seq":1,"kind":"teleported","by":"ana"}"#.into(),
        r#"{"seq":1,"kind":"Note","by":"ana","text":"x"}"#.into(),
        r#"{"seq":1,"kind":"","by":"ana","text":"x"}"#.into(),
        r#"{"seq":1,"\u006bind":"n\u006fte","by":"ana","t\u0065xt":"x"}"#.into(),
        // Fields that the kind doesn't have.
        note(r#","more":1,"and":{"by":"bob","kind":"sealed"}"#),
        note(r#","more":1,"more":2"#),
        note(&format!(r#","more":{}"#, nested(100))),
        note(&format!(r#","more":{}"#, nested(200))),
        note(r#","more":"\ud800""#),
        note(r#","more":1e999"#),
        note(r#","more":"\u0001\n","prev":"00","hash":"ff""#),
        format!(r#"{{"seq":{},"kind":"note","by":"ana","text":"x"}}"#, nested(200)),
        // Fields that it has.
        note(r#","text":"twice""#),
        note(r#","text":null"#),
        r#"{"text":"x","kind":"note","by":"ana","text":"twice"}"#.into(),
        r#"{"kind":"note","by":"ana"}"#.into(),
        r#"{"kind":"note","by":7,"text":"x"}"#.into(),
        r#"{"by":7,"kind":"note","text":"x"}"#.into(),
        r#"{"kind":"note","by":"ana","text":["x"]}"#.into(),
        r#"{"kind":"step_blocked","step":"a","needs":"../b"}"#.into(),
        r#"{"kind":"step_blocked","step":"a\u002db","needs":"c"}"#.into(),
        r#"{"kind":"step_started","step":"a","attempt":-1,"command":null}"#.into(),
        r#"{"kind":"step_started","step":"a","attempt":1.0,"command":null}"#.into(),
        r#"{"kind":"step_started","step":"a","attempt":1}"#.into(),
        r#"{"kind":"step_started","step":"a","attempt":1,"command":null,"slot":null,"until":"2026-11-22T02:30:00Z"}"#.into(),
        r#"{"kind":"step_started","step":"a","attempt":1,"command":null,"until":"soon"}"#.into(),
        r#"{"kind":"gate_closed","step":"a","result":"approve","reason":"\ud83d\ude00 \"so\""}"#.into(),
        r#"{"kind":"run_finished","outcome":"failed","outputs":{"a":1,"b":{"c":[1.5,-2,18446744073709551615]},"a":2}}"#.into(),
        r#"{"kind":"run_finished","outcome":"exploded"}"#.into(),
        r#"{"kind":"run_finished","outcome":{"failed":null}}"#.into(),
        format!(r#"{{"kind":"items","step":"a","list":[{}]}}"#, nested(120)),
        format!(r#"{{"kind":"items","step":"a","list":[{}]}}"#, nested(130)),
        // Not a line at all.
        note("") + "x",
        note("")[..30].to_owned(),
        note("").replace(':', "="),
    ];
    for line in &lines {
        match (serde_json::from_str::<EventKind>(line), collected(line)) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{line}"),
            (Err(read), Err(expected)) => assert_eq!(complaint(&read), complaint(&expected), "{line}"),
            (read, expected) => panic!("{line}\n{read:?}\n{expected:?}"),
        }
    }
    let understood = lines.iter().filter(|line| serde_json::from_str::<EventKind>(line).is_ok()).count();
    assert_eq!((understood, lines.len()), (16, 43), "the table has both kinds of lines");
}

#[test]
fn no_kind_has_a_field_that_stands_before_the_kind() {
    let schema = event_schema();
    let kinds = schema["oneOf"].as_array().expect("a schema for each kind");
    assert!(kinds.len() > 30, "{}", kinds.len());
    for kind in kinds {
        let fields = kind["properties"].as_object().expect("fields");
        let taken: Vec<_> = read::ENVELOPE.iter().filter(|name| fields.contains_key(**name)).collect();
        assert!(taken.is_empty(), "{taken:?} in {}", kind["properties"]["kind"]);
    }
}

#[test]
fn only_an_object_is_an_event() {
    for text in [r#"["note","ana","x"]"#, r#""note""#, "null", "7"] {
        let error = serde_json::from_str::<EventKind>(text).expect_err(text).to_string();
        assert!(error.contains("expected an object with the `kind` of an event"), "{error}");
    }
}
