//! A worker's two pipes, each with a thread of its own.

use std::io::{BufReader, Error, ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::frame::{self, Said};

/// Writes frames: a worker that does not read must not block the parent.
pub(super) fn write_requests(mut to: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, requests) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for bytes in requests {
            if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// Bytes of all large frames together: a few of them are ahead of whoever takes them.
const MOST: usize = 2 * frame::LONGEST;
/// A frame of more bytes is a large one.
const LARGE: usize = 1 << 16;

/// Counts what is read.
struct Counted<R> {
    from: R,
    bytes: usize,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.bytes += read;
        Ok(read)
    }
}

/// Reads frames, a few ahead, up to the result.
pub(super) fn read_replies(stdout: Option<ChildStdout>) -> Receiver<std::io::Result<Option<Said>>> {
    const AHEAD: usize = 16;
    let (sender, replies) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        let Some(from) = stdout.map(BufReader::new) else {
            return;
        };
        let mut from = Counted { from, bytes: 0 };
        let mut large = 0;
        loop {
            from.bytes = 0;
            let mut said = frame::read_said(&mut from);
            large += Some(from.bytes).filter(|&n| n > LARGE).unwrap_or(0);
            if large > MOST {
                let text = format!("more than {MOST} bytes are said");
                said = Err(Error::new(ErrorKind::InvalidData, text));
            }
            let last = !matches!(said, Ok(Some(Said::Reply(_) | Said::Scores(_))));
            if sender.send(said).is_err() || last {
                return;
            }
        }
    });
    replies
}
