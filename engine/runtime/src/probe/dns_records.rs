//! Records other than addresses, which the system's resolver doesn't tell: asked of its name servers, over UDP, and over TCP where an answer is too long.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use runbook_core::document::model::DnsType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// How long one name server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often all name servers are asked.
const ROUNDS: usize = 2;
/// The longest answer.
const ANSWER_MAX: usize = 65_535;
/// The most names that one name may be put together from.
const POINTERS_MAX: usize = 32;
/// The class of the Internet.
const INTERNET: u16 = 1;

/// The name servers that this machine asks.
pub(super) fn name_servers() -> Vec<SocketAddr> {
    servers_in(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next())??;
        address.parse::<IpAddr>().ok()
    });
    let mut servers: Vec<SocketAddr> = named.map(|address| SocketAddr::new(address, 53)).collect();
    if servers.is_empty() {
        // As resolvers do.
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    servers
}

/// The records of that kind as they are usually written, sorted, each once: `10 mail.example.com` for `MX`, `0 5 5060 sip.example.com` for `SRV`. The name is
/// taken as it stands: no domain is added to it.
///
/// # Errors
/// A line that says why there are none.
pub(super) async fn look_up(
    servers: &[SocketAddr],
    name: &str,
    kind: DnsType,
) -> Result<Vec<String>, String> {
    let name = match (kind, name.parse::<IpAddr>()) {
        (DnsType::Ptr, Ok(address)) => reverse(address),
        _ => name.to_owned(),
    };
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|_| "the system gives no randomness".to_owned())?;
    let query = query(id, &name, kind).ok_or_else(|| format!("`{name}` is no name for the DNS"))?;
    let mut why = "no name server answers".to_owned();
    for server in std::iter::repeat_n(servers, ROUNDS).flatten() {
        match tokio::time::timeout(PATIENCE, ask(*server, &query)).await {
            Ok(Ok(answer)) => match read(&answer, kind) {
                Some(Ok(mut records)) => {
                    records.sort_unstable();
                    records.dedup();
                    return if records.is_empty() {
                        Err(format!("no such record ({name})"))
                    } else {
                        Ok(records)
                    };
                }
                Some(Err(NAME_ERROR)) => return Err(format!("name not resolved ({name})")),
                Some(Err(code)) => why = format!("the name server {} refuses (code {code})", server.ip()),
                None => why = format!("the name server {} gives no proper answer", server.ip()),
            },
            Ok(Err(error)) => why = format!("the name server {} can't be asked: {error}", server.ip()),
            Err(_) => why = format!("the name server {} doesn't answer", server.ip()),
        }
    }
    Err(why)
}

/// There is no such name.
const NAME_ERROR: u8 = 3;

fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

fn code_of(kind: DnsType) -> u16 {
    match kind {
        DnsType::A => 1,
        DnsType::Ns => 2,
        DnsType::Cname => 5,
        DnsType::Ptr => 12,
        DnsType::Mx => 15,
        DnsType::Txt => 16,
        DnsType::Aaaa => 28,
        DnsType::Srv => 33,
    }
}

/// One question, with the wish that the server asks others; `None` where the name can't be asked for.
fn query(id: [u8; 2], name: &str, kind: DnsType) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 || !name.is_ascii() {
        return None;
    }
    let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        query.push(length);
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&code_of(kind).to_be_bytes());
    query.extend_from_slice(&INTERNET.to_be_bytes());
    Some(query)
}

async fn ask(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; ANSWER_MAX];
    loop {
        let length = socket.recv(&mut answer).await?;
        if !answers(&answer[..length], query) {
            // Somebody else's, or nobody's: the server's is waited for.
            continue;
        }
        answer.truncate(length);
        let is_cut = answer[2] & 2 != 0;
        return if is_cut { ask_at_length(server, query).await } else { Ok(answer) };
    }
}

async fn ask_at_length(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, query) { Ok(answer) } else { Err(io::Error::other("it answers something else")) }
}

/// Whether a message is the answer to a question: of its number, and with the question in it.
fn answers(message: &[u8], query: &[u8]) -> bool {
    let (Some(head), Some(question)) = (message.get(..12), message.get(12..query.len())) else {
        return false;
    };
    head[..2] == query[..2] && head[2] & 0x80 != 0 && question.eq_ignore_ascii_case(&query[12..])
}

/// The records in an answer, or the code of its error; `None` where it is malformed.
fn read(message: &[u8], kind: DnsType) -> Option<Result<Vec<String>, u8>> {
    let code = message.get(3)? & 15;
    if code != 0 {
        return Some(Err(code));
    }
    let mut at = 12;
    for _ in 0..number(message, 4)? {
        name(message, &mut at)?;
        at += 4;
    }
    let mut records = Vec::new();
    for _ in 0..number(message, 6)? {
        name(message, &mut at)?;
        let (of, class) = (number(message, at)?, number(message, at + 2)?);
        let length = usize::from(number(message, at + 8)?);
        at += 10;
        let end = at + length;
        message.get(at..end)?;
        // A name that stands for another one is told with the other's records.
        if (of, class) == (code_of(kind), INTERNET) {
            records.push(record(message, at, end, kind)?);
        }
        at = end;
    }
    Some(Ok(records))
}

fn record(message: &[u8], at: usize, end: usize, kind: DnsType) -> Option<String> {
    let target = |mut at: usize| name(message, &mut at);
    match kind {
        DnsType::A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(message.get(at..end)?).ok()?).to_string()),
        DnsType::Aaaa => Some(Ipv6Addr::from(<[u8; 16]>::try_from(message.get(at..end)?).ok()?).to_string()),
        DnsType::Cname | DnsType::Ns | DnsType::Ptr => target(at),
        DnsType::Mx => Some(format!("{} {}", number(message, at)?, target(at + 2)?)),
        DnsType::Srv => {
            let (priority, weight) = (number(message, at)?, number(message, at + 2)?);
            Some(format!("{priority} {weight} {} {}", number(message, at + 4)?, target(at + 6)?))
        }
        DnsType::Txt => {
            let (mut at, mut text) = (at, Vec::new());
            while at < end {
                let length = usize::from(*message.get(at)?);
                text.extend_from_slice(
                    message.get(at + 1..at + 1 + length).filter(|_| at + 1 + length <= end)?,
                );
                at += 1 + length;
            }
            Some(String::from_utf8_lossy(&text).into_owned())
        }
    }
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// Reads a name and goes on behind it. It may end in the middle of an earlier one.
fn name(message: &[u8], at: &mut usize) -> Option<String> {
    let (mut labels, mut place, mut behind) = (Vec::new(), *at, None);
    let mut jumps = 0;
    loop {
        let length = *message.get(place)?;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(place + 1..place + 1 + usize::from(length))?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                place += 1 + usize::from(length);
            }
            192.. => {
                jumps += 1;
                behind.get_or_insert(place + 2);
                place = usize::from(number(message, place)? & 0x3fff);
            }
            _ => return None,
        }
        if jumps > POINTERS_MAX || labels.len() > 127 {
            return None;
        }
    }
    *at = behind.unwrap_or(place + 1);
    Some(labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name server on loopback that knows one record of each kind, some in names that end in the question's, and cuts `TXT` off over UDP.
    async fn server() -> SocketAddr {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = udp.local_addr().expect("an address");
        let tcp = tokio::net::TcpListener::bind(address).await.expect("a socket");
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut query).await {
                // An answer to another question comes first, as from somebody who guesses.
                let mut forged = answer(&query[..length]);
                forged[0] ^= 0xff;
                let _ = udp.send_to(&forged, from).await;
                let mut told = answer(&query[..length]);
                if query[length - 3] == 16 {
                    told.truncate(length);
                    told[2] |= 2;
                    told[7] = 0;
                }
                let _ = udp.send_to(&told, from).await;
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.expect("a length");
                let mut query = vec![0; usize::from(length)];
                stream.read_exact(&mut query).await.expect("a question");
                let told = answer(&query);
                let length = u16::try_from(told.len()).expect("short").to_be_bytes();
                stream.write_all(&[&length[..], &told].concat()).await.expect("an answer");
            }
        });
        address
    }

    fn answer(query: &[u8]) -> Vec<u8> {
        let mut told = query.to_vec();
        told[2] |= 0x80;
        let kind = query[query.len() - 3];
        if query.windows(6).any(|window| window == b"absent") {
            told[3] = 3;
            return told;
        }
        let data: Vec<Vec<u8>> = match kind {
            2 => vec![b"\x02ns\xc0\x0c".to_vec()],
            5 => vec![b"\x05other\x04test\x00".to_vec()],
            12 => vec![b"\x04host\x04test\x00".to_vec()],
            15 => vec![b"\x00\x14\x03two\xc0\x0c".to_vec(), b"\x00\x0a\x03one\xc0\x0c".to_vec()],
            16 => vec![b"\x06v=spf1\x05 -all".to_vec()],
            33 => vec![b"\x00\x00\x00\x05\x13\xc4\x03sip\xc0\x0c".to_vec()],
            _ => Vec::new(),
        };
        told[7] = u8::try_from(data.len()).expect("few");
        for data in data {
            told.extend_from_slice(&[0xc0, 0x0c, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
            told.push(u8::try_from(data.len()).expect("short"));
            told.extend_from_slice(&data);
        }
        told
    }

    /// A name, a kind, and what is found.
    type Row<'a> = (&'a str, DnsType, Result<&'a [&'a str], &'a str>);

    #[tokio::test]
    async fn each_kind_of_record_is_read() {
        let servers = [server().await];
        let table: [Row<'_>; 10] = [
            ("zetra.test", DnsType::Mx, Ok(&["10 one.zetra.test", "20 two.zetra.test"])),
            ("zetra.test.", DnsType::Ns, Ok(&["ns.zetra.test"])),
            ("zetra.test", DnsType::Cname, Ok(&["other.test"])),
            ("zetra.test", DnsType::Txt, Ok(&["v=spf1 -all"])),
            ("_sip._udp.zetra.test", DnsType::Srv, Ok(&["0 5 5060 sip._sip._udp.zetra.test"])),
            ("192.0.2.7", DnsType::Ptr, Ok(&["host.test"])),
            ("absent.test", DnsType::Mx, Err("name not resolved (absent.test)")),
            ("zetra.test", DnsType::A, Err("no such record (zetra.test)")),
            ("a..b", DnsType::Mx, Err("`a..b` is no name for the DNS")),
            ("zürich.test", DnsType::Mx, Err("`zürich.test` is no name for the DNS")),
        ];
        for (name, kind, expected) in table {
            let found = look_up(&servers, name, kind).await;
            let expected =
                expected.map(|records| records.iter().map(|record| (*record).to_owned()).collect());
            assert_eq!(found, expected.map_err(str::to_owned), "{name} {kind}");
        }
    }

    #[test]
    fn malformed_answers_are_none() {
        let query = query([1, 2], "zetra.test", DnsType::Mx).expect("a name");
        let whole = answer(&query);
        assert!(answers(&whole, &query) && read(&whole, DnsType::Mx).is_some());
        for length in 0..whole.len() {
            let part = &whole[..length];
            assert!(read(part, DnsType::Mx).is_none(), "{length}");
        }
        // A name that leads to itself.
        let mut circle = whole;
        let place = query.len();
        circle[place + 1] = u8::try_from(place).expect("short");
        assert!(read(&circle, DnsType::Mx).is_none());
    }

    #[test]
    fn addresses_are_asked_for_backwards() {
        assert_eq!(reverse("192.0.2.7".parse().expect("an address")), "7.2.0.192.in-addr.arpa");
        let long = reverse("2001:db8::1".parse().expect("an address"));
        assert!(long.starts_with("1.0.0.0.") && long.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{long}");
        let text = "# x\nnameserver 192.0.2.1\nsearch a\nnameserver ::1\nnameserver x\n";
        let servers: Vec<String> = servers_in(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[::1]:53"]);
        assert_eq!(servers_in("").len(), 1);
    }
}
