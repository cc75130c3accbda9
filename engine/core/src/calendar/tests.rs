//! Tables of moments: which are in a window, and when it opens next.

use super::{Standing, Window, parse_ics};
use crate::document::model::Outside;
use crate::moment::Moment;

fn moment(text: &str) -> Moment {
    text.parse::<jiff::Timestamp>().expect("a moment").into()
}

fn window(allow: &str, deny: &str) -> Window {
    Window {
        allow: serde_json::from_str(allow).expect("times"),
        calendar: (!deny.is_empty()).then(|| "freeze".into()),
        deny: if deny.is_empty() { Vec::new() } else { serde_json::from_str(deny).expect("days") },
        events: Vec::new(),
        outside: Outside::Refuse,
    }
}

/// `open`, or when it opens, or `never`.
fn said(window: &Window, now: &str) -> String {
    match window.standing(moment(now)) {
        Standing::Open => "open".into(),
        Standing::Shut { opens_at: Some(at), .. } => at.to_string().replace(".000Z", "Z"),
        Standing::Shut { opens_at: None, .. } => "never".into(),
    }
}

#[track_caller]
fn check(window: &Window, table: &[(&str, &str)]) {
    for (now, expected) in table {
        assert_eq!(said(window, now), *expected, "{window} at {now}");
    }
}

#[test]
fn days_and_times_are_those_of_the_zone() {
    let sunday = window(r#"[{"days":["sun"],"from":"02:00","to":"04:00","tz":"America/New_York"}]"#, "");
    // 2026-11-22 is a Sunday; New York is five hours behind.
    check(
        &sunday,
        &[
            ("2026-11-22T06:59:59Z", "2026-11-22T07:00:00Z"),
            ("2026-11-22T07:00:00Z", "open"),
            ("2026-11-22T08:59:59Z", "open"),
            ("2026-11-22T09:00:00Z", "2026-11-29T07:00:00Z"),
            ("2026-11-21T07:30:00Z", "2026-11-22T07:00:00Z"),
        ],
    );
}

#[test]
fn a_window_goes_on_past_midnight_and_belongs_to_the_day_of_its_beginning() {
    let night = window(r#"[{"days":["fri"],"from":"22:00","to":"02:00","tz":"UTC"}]"#, "");
    check(
        &night,
        &[
            ("2026-11-20T21:59:00Z", "2026-11-20T22:00:00Z"),
            ("2026-11-20T23:00:00Z", "open"),
            ("2026-11-21T01:59:00Z", "open"),
            ("2026-11-21T02:00:00Z", "2026-11-27T22:00:00Z"),
            // The night from Thursday to Friday is Thursday's.
            ("2026-11-20T01:00:00Z", "2026-11-20T22:00:00Z"),
        ],
    );
    let all_day = window(r#"[{"days":["sat"],"from":"00:00","to":"24:00","tz":"UTC"}]"#, "");
    check(&all_day, &[("2026-11-21T23:59:59Z", "open"), ("2026-11-22T00:00:00Z", "2026-11-28T00:00:00Z")]);
}

#[test]
fn the_first_such_weekday_of_the_month() {
    let first = window(r#"[{"days":["sun"],"from":"02:00","to":"04:00","tz":"UTC","week":1}]"#, "");
    check(
        &first,
        &[
            ("2026-11-01T03:00:00Z", "open"),
            ("2026-11-08T03:00:00Z", "2026-12-06T02:00:00Z"),
            ("2026-12-06T02:00:00Z", "open"),
        ],
    );
    let fifth = window(r#"[{"days":["sun"],"from":"02:00","to":"04:00","tz":"UTC","week":5}]"#, "");
    check(&fifth, &[("2026-11-01T03:00:00Z", "2026-11-29T02:00:00Z")]);
}

#[test]
fn clocks_that_are_put_forward_and_back() {
    // New York: 2026-03-08 02:00 becomes 03:00; 2026-11-01 02:00 becomes 01:00.
    let early = window(r#"[{"days":["sun"],"from":"02:00","to":"03:00","tz":"America/New_York"}]"#, "");
    check(
        &early,
        &[
            // The hour doesn't exist that day.
            ("2026-03-08T06:59:00Z", "2026-03-15T06:00:00Z"),
            ("2026-03-08T07:30:00Z", "2026-03-15T06:00:00Z"),
        ],
    );
    let longer = window(r#"[{"days":["sun"],"from":"02:30","to":"04:00","tz":"America/New_York"}]"#, "");
    check(&longer, &[("2026-03-08T07:00:00Z", "open"), ("2026-03-08T08:00:00Z", "2026-03-15T06:30:00Z")]);
    let twice = window(r#"[{"days":["sun"],"from":"01:00","to":"01:30","tz":"America/New_York"}]"#, "");
    check(
        &twice,
        &[
            ("2026-11-01T05:10:00Z", "open"),
            ("2026-11-01T05:40:00Z", "2026-11-01T06:00:00Z"),
            ("2026-11-01T06:10:00Z", "open"),
            ("2026-11-01T06:30:00Z", "2026-11-08T06:00:00Z"),
        ],
    );
}

#[test]
fn a_calendar_denies_through_its_last_day() {
    let freeze = window("[]", r#"[{"from":"2026-12-20","to":"2027-01-02","tz":"UTC","why":"Year end"}]"#);
    check(
        &freeze,
        &[
            ("2026-12-19T23:59:59Z", "open"),
            ("2026-12-20T00:00:00Z", "2027-01-03T00:00:00Z"),
            ("2027-01-02T23:59:59Z", "2027-01-03T00:00:00Z"),
            ("2027-01-03T00:00:00Z", "open"),
        ],
    );
    let both = window(
        r#"[{"days":["sun"],"from":"02:00","to":"04:00","tz":"UTC"}]"#,
        r#"[{"from":"2026-12-20","to":"2027-01-02","tz":"UTC"}]"#,
    );
    check(&both, &[("2026-12-20T03:00:00Z", "2027-01-03T02:00:00Z")]);
    let Standing::Shut { why, .. } = freeze.standing(moment("2026-12-24T12:00:00Z")) else { panic!("open") };
    assert_eq!(why, "freeze denies 2026-12-20 to 2027-01-02: Year end");
}

#[test]
fn what_never_opens_is_not_waited_for() {
    let never = window("[]", r#"[{"from":"2000-01-01","to":"9999-12-30","tz":"UTC"}]"#);
    check(&never, &[("2026-12-20T00:00:00Z", "never")]);
    let unknown = window(r#"[{"from":"02:00","to":"04:00","tz":"Mars/Olympus"}]"#, "");
    check(&unknown, &[("2026-12-20T03:00:00Z", "never")]);
}

/// A calendar file with one event of these lines.
fn calendar(lines: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        lines.replace('\n', "\r\n")
    )
}

fn with_events(lines: &str) -> Window {
    let events = parse_ics(&calendar(lines)).unwrap_or_else(|error| panic!("{lines}: {error}"));
    let text = serde_json::to_string(&events).expect("written");
    let events = serde_json::from_str(&text).expect("read back");
    Window { events, calendar: Some("freeze".into()), ..window("[]", "") }
}

#[test]
fn events_of_calendar_files_deny() {
    let table: &[(&str, &[(&str, &str)])] = &[
        (
            "SUMMARY:Year end\nDTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227",
            &[
                ("2026-12-23T23:59:59Z", "open"),
                ("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z"),
                ("2026-12-27T00:00:00Z", "open"),
            ],
        ),
        ("DTSTART;VALUE=DATE:20261224", &[("2026-12-24T23:00:00Z", "2026-12-25T00:00:00Z")]),
        (
            "DTSTART;TZID=Europe/Berlin:20261120T080000\nDTEND;TZID=Europe/Berlin:20261120T100000",
            &[("2026-11-20T07:00:00Z", "2026-11-20T09:00:00Z"), ("2026-11-20T09:00:00Z", "open")],
        ),
        ("DTSTART:20261120T080000Z\nDURATION:PT90M", &[("2026-11-20T09:29:00Z", "2026-11-20T09:30:00Z")]),
        // Nine in the morning stays nine in the morning when clocks change.
        (
            "DTSTART;TZID=Europe/Berlin:20261001T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY",
            &[
                ("2026-10-20T07:30:00Z", "2026-10-20T08:00:00Z"),
                ("2026-11-20T08:30:00Z", "2026-11-20T09:00:00Z"),
            ],
        ),
        (
            "DTSTART:20261102T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3",
            &[
                ("2026-11-02T09:30:00Z", "2026-11-02T10:00:00Z"),
                ("2026-11-04T09:30:00Z", "2026-11-04T10:00:00Z"),
                ("2026-11-09T09:30:00Z", "2026-11-09T10:00:00Z"),
                ("2026-11-11T09:30:00Z", "open"),
            ],
        ),
        (
            "DTSTART;VALUE=DATE:20201225\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25",
            &[("2026-12-25T12:00:00Z", "2026-12-26T00:00:00Z"), ("2026-12-26T12:00:00Z", "open")],
        ),
        (
            "DTSTART:20261101T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;INTERVAL=2;UNTIL=20261105T090000Z\nEXDATE:20261103T090000Z",
            &[
                ("2026-11-01T09:30:00Z", "2026-11-01T10:00:00Z"),
                ("2026-11-02T09:30:00Z", "open"),
                ("2026-11-03T09:30:00Z", "open"),
                ("2026-11-05T09:30:00Z", "2026-11-05T10:00:00Z"),
                ("2026-11-07T09:30:00Z", "open"),
            ],
        ),
        (
            "DTSTART;VALUE=DATE:20260131\nRRULE:FREQ=MONTHLY",
            &[("2026-02-28T12:00:00Z", "open"), ("2026-03-31T12:00:00Z", "2026-04-01T00:00:00Z")],
        ),
        ("DTSTART;VALUE=DATE:20261224\nSTATUS:CANCELLED", &[("2026-12-24T12:00:00Z", "open")]),
        (
            "SUMMARY:A long\n  name\nDTSTART;VALUE=DATE:20261224",
            &[("2026-12-24T12:00:00Z", "2026-12-25T00:00:00Z")],
        ),
    ];
    for (lines, moments) in table {
        check(&with_events(lines), moments);
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let table = [
        ("SUMMARY:x", "line 3: an event without DTSTART"),
        (
            "DTSTART;TZID=W. Europe Standard Time:20261120T080000",
            "line 4: the time zone `W. Europe Standard Time` isn't known; write it as in Europe/Berlin",
        ),
        (
            "DTSTART;VALUE=DATE:20261120\nRRULE:FREQ=MONTHLY;BYDAY=1SU",
            "line 5: the rule `FREQ=MONTHLY;BYDAY=1SU` isn't understood: BYDAY=1SU",
        ),
        (
            "DTSTART;VALUE=DATE:20261120\nRRULE:FREQ=HOURLY",
            "line 5: the rule `FREQ=HOURLY` isn't understood: FREQ=HOURLY",
        ),
        ("DTSTART;VALUE=DATE:20261120\nRDATE:20261201", "line 5: RDATE isn't understood"),
        ("DTSTART;VALUE=DATE:2026-11-20", "line 4: `2026-11-20` is no day or time"),
        ("DTSTART:20261120T080000Z\nDTEND:20261119T080000Z", "line 5: the event ends before it begins"),
    ];
    for (lines, expected) in table {
        let error = parse_ics(&calendar(lines)).expect_err(lines);
        assert_eq!(error.to_string(), expected);
    }
    assert!(parse_ics("hello").is_err());
    assert!(parse_ics("BEGIN:VCALENDAR\nBEGIN:VEVENT\n").is_err());
}
