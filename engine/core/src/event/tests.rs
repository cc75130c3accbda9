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
