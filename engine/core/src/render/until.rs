//! The moment that ends a wait.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::moment::Moment;

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoMoment {
    /// Whether it is the time zone that is wrong.
    pub(crate) in_zone: bool,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write.
    pub(crate) help: Option<String>,
}

/// The moment of a date and time in a time zone, or of one with its own offset. In the hour that a change of clocks leaves out or has
/// twice it is the later and the first.
///
/// # Errors
/// What is wrong, and with which of the two.
pub(crate) fn moment_of(until: &str, tz: Option<&str>) -> Result<Moment, NoMoment> {
    let wrong = |in_zone: bool, message: String, help: Option<&str>| NoMoment {
        in_zone,
        message,
        help: help.map(str::to_owned),
    };
    let zone = match tz.map(str::trim) {
        None => None,
        Some(name) => {
            let zone = TimeZone::get(name).map_err(|_| {
                wrong(
                    true,
                    format!("there is no time zone `{name}`"),
                    Some("write it like `Europe/Berlin` or `UTC`"),
                )
            })?;
            Some(zone)
        }
    };
    let text = until.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return match zone {
            None => Ok(Moment::from(moment)),
            Some(_) => Err(wrong(
                true,
                format!("`{text}` has an offset of its own: it needs no `tz`"),
                Some("leave out `tz`, or the offset"),
            )),
        };
    }
    let civil: DateTime = text.parse().map_err(|_| {
        wrong(false, format!("`{text}` is no date and time"), Some("write it like `2026-12-01T02:00`"))
    })?;
    let Some(zone) = zone else {
        return Err(wrong(
            false,
            format!("`{text}` is another moment in every time zone"),
            Some("add `tz: Europe/Berlin`, or write `Z` behind it for UTC"),
        ));
    };
    let zoned = zone.to_zoned(civil).map_err(|_| wrong(false, format!("`{text}` is too far away"), None))?;
    Ok(Moment::from(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_need_a_zone_or_an_offset() {
        let table = [
            ("2026-12-01T02:00", Some("Europe/Berlin"), Ok("2026-12-01T01:00:00Z")),
            ("2026-12-01 02:00:30", Some("UTC"), Ok("2026-12-01T02:00:30Z")),
            ("2026-12-01T02:00Z", None, Ok("2026-12-01T02:00:00Z")),
            ("2026-12-01T02:00+02:00", None, Ok("2026-12-01T00:00:00Z")),
            ("2026-03-29T02:30", Some("Europe/Berlin"), Ok("2026-03-29T01:30:00Z")),
            ("2026-12-01T02:00", None, Err((false, "another moment"))),
            ("2026-12-01T02:00Z", Some("UTC"), Err((true, "an offset of its own"))),
            ("2026-12-01T02:00", Some("Mars/Base"), Err((true, "no time zone `Mars/Base`"))),
            ("tomorrow", Some("UTC"), Err((false, "`tomorrow` is no date and time"))),
        ];
        for (until, tz, expected) in table {
            let found = moment_of(until, tz);
            match expected {
                Ok(moment) => {
                    let expected: jiff::Timestamp = moment.parse().expect("a timestamp");
                    assert_eq!(found, Ok(Moment::from(expected)), "{until}");
                }
                Err((in_zone, words)) => {
                    let error = found.expect_err("no moment");
                    assert!(error.in_zone == in_zone && error.message.contains(words), "{until}: {error:?}");
                }
            }
        }
    }
}
