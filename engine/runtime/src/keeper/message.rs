//! The packets between engine and keeper. Their socket keeps the borders of messages (`SOCK_SEQPACKET`), so one packet is one message; only the
//! spec, which may be large, is cut into parts.

use super::attempt::NotStarted;
use super::exit::Exit;
use super::wire::{Decoder, Encoder, Malformed};
use crate::capture::Stream;

/// The most bytes of a spec in one packet.
pub(super) const SPEC_PART: usize = 48 * 1024;

/// The most bytes of output in one report.
pub(super) const OUTPUT_PART: usize = 32 * 1024;

/// The most bytes of an order or a report.
pub(super) const REPORT_MAX: usize = OUTPUT_PART + 64;

/// What the engine tells a keeper, after its spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Terminate,
    Kill,
    Pause,
    Resume,
    HangUp,
}

impl Order {
    const ALL: [Self; 5] = [Self::Terminate, Self::Kill, Self::Pause, Self::Resume, Self::HangUp];

    pub(super) fn encode(self) -> [u8; 1] {
        [self as u8]
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::ALL.into_iter().find(|order| bytes == order.encode()).ok_or(Malformed)
    }
}

/// Whether a packet is an order, which came too late for the attempt before. Every packet of a spec is longer.
pub(super) fn is_order(packet: &[u8]) -> bool {
    packet.len() == 1
}

/// Cuts a spec into packets: each begins with whether it is the last.
pub(super) fn spec_packets(spec: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let count = spec.len().div_ceil(SPEC_PART).max(1);
    (0..count).map(move |index| {
        let part = &spec[index * SPEC_PART..spec.len().min((index + 1) * SPEC_PART)];
        let mut packet = Vec::with_capacity(1 + part.len());
        packet.push(u8::from(index + 1 == count));
        packet.extend_from_slice(part);
        packet
    })
}

/// What a keeper tells the engine.
#[derive(Debug)]
pub(super) enum Report {
    Started {
        pid: i32,
    },
    Output {
        stream: Stream,
        lost: u64,
        bytes: Vec<u8>,
    },
    /// The attempt is over; the keeper waits for another one, or ends.
    Exited {
        exit: Exit,
        waits: bool,
    },
    NotStarted(NotStarted),
}

impl Report {
    pub(super) fn started(pid: i32) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(0);
        out.i32(pid);
        out.finish()
    }

    pub(super) fn output_header(stream: Stream, lost: u64) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(1);
        out.u8(stream.code());
        out.u64(lost);
        out.finish()
    }

    pub(super) fn exited(exit: &Exit, waits: bool) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(2);
        out.bool(waits);
        out.raw(&exit.encode());
        out.finish()
    }

    pub(super) fn not_started(reason: &NotStarted) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(3);
        let (kind, errno) = match reason {
            NotStarted::Revoked => (0, 0),
            NotStarted::Store { errno } => (1, *errno),
            NotStarted::Keeper { errno } => (2, *errno),
        };
        out.u8(kind);
        out.i32(errno);
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        match input.u8()? {
            0 => Ok(Self::Started { pid: input.i32()? }),
            1 => {
                let stream = Stream::from_code(input.u8()?).ok_or(Malformed)?;
                Ok(Self::Output { stream, lost: input.u64()?, bytes: input.rest().to_vec() })
            }
            2 => Ok(Self::Exited { waits: input.bool()?, exit: Exit::decode(input.rest())? }),
            3 => {
                let (kind, errno) = (input.u8()?, input.i32()?);
                Ok(Self::NotStarted(match kind {
                    0 => NotStarted::Revoked,
                    1 => NotStarted::Store { errno },
                    2 => NotStarted::Keeper { errno },
                    _ => return Err(Malformed),
                }))
            }
            _ => Err(Malformed),
        }
    }
}
