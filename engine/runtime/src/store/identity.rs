//! Who and where this process is, as far as records name it.
//!
//! A static binary can't use the name service, so users are looked up in
//! `/etc/passwd` and otherwise named by their number.

use std::fmt::Write as _;
use std::sync::OnceLock;

use runbook_core::moment::Moment;

/// The user that this process acts as: the same for its whole life.
#[must_use]
pub fn current_user() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| user_name(rustix::process::geteuid().as_raw())).clone()
}

/// The name of a user; the number where `/etc/passwd` doesn't know it.
#[must_use]
pub fn user_name(uid: u32) -> String {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    name_in(&String::from_utf8_lossy(&passwd), uid).unwrap_or_else(|| uid.to_string())
}

/// Finds the name of `uid` in the text of a `passwd` file.
fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?;
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// The number of a group, by its name in `/etc/group` or as that number itself.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    let group = std::fs::read("/etc/group").unwrap_or_default();
    let group = String::from_utf8_lossy(&group);
    let known = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    });
    known.or_else(|| name.parse().ok())
}

/// The machine's name.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The id of this boot, within which process ids and witnesses mean something;
/// `None` where the kernel doesn't say.
#[must_use]
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The wall clock.
pub(crate) fn now() -> Moment {
    crate::clock::now()
}

/// Sixteen hexadecimal digits that no other process has.
pub(crate) fn random_tail() -> String {
    let mut bytes = [0_u8; 8];
    if getrandom::fill(&mut bytes).is_err() {
        // Names are created exclusively, so this only has to differ mostly.
        let mixed = (u64::from(std::process::id()) << 32) ^ jiff::Timestamp::now().as_nanosecond() as u64;
        bytes = mixed.to_be_bytes();
    }
    bytes.iter().fold(String::with_capacity(16), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_passwd_and_else_are_numbers() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\n:x:7:7::/:\nana:x:1000:1000:Ana:/home/ana:/bin/sh\n";
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("ana"));
        assert_eq!(name_in(passwd, 7), None);
        assert_eq!(name_in(passwd, 4_000_000_000), None);
        assert_eq!(user_name(4_000_000_001), "4000000001");
    }

    #[test]
    fn random_tails_differ() {
        assert_eq!(random_tail().len(), 16);
        assert_ne!(random_tail(), random_tail());
    }
}
