//! Quotes of a table of text, held to RFC 4180 while it is read: a reader that is lax takes half of a file into one cell, and
//! text behind a closing quote into the cell before it.

use std::fmt;
use std::io::{self, Read};

use driftgauge_problem::Problem;

/// Where a reader stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// Before the first character of a cell.
    Begin,
    /// In a cell without quotes.
    Plain,
    /// Behind an opening quote.
    Quoted,
    /// Behind a quote that closes the cell, or is the first of two.
    Closed,
}

/// Passes the bytes of a table on, as far as its quotes are what the format has.
pub(super) struct Quotes<R> {
    inner: R,
    delimiter: u8,
    at: At,
    /// Line of the next byte, from 1.
    line: usize,
    /// Line in which the cell began.
    began: usize,
    after_return: bool,
    /// Whether the quoted cell has a tab and a line end in it so far.
    holds: (bool, bool),
    /// What is wrong behind the bytes that were passed on: what is wrong before it is told first.
    wrong: Option<Wrong>,
}

impl<R: Read> Quotes<R> {
    pub(super) fn new(inner: R, delimiter: u8) -> Self {
        Self {
            inner,
            delimiter,
            at: At::Begin,
            line: 1,
            began: 1,
            after_return: false,
            holds: (false, false),
            wrong: None,
        }
    }

    /// How many of these bytes are in order.
    fn checked(&mut self, bytes: &[u8]) -> usize {
        for (place, &byte) in bytes.iter().enumerate() {
            let ends = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            if self.at == At::Begin {
                self.began = self.line;
                self.holds = (false, false);
            }
            if self.at == At::Quoted && self.delimiter == b'\t' {
                self.holds.0 |= byte == b'\t';
                self.holds.1 |= matches!(byte, b'\n' | b'\r');
                // Two cells of several rows, of which the first begins and the last ends with a quote, are written no otherwise.
                if self.holds == (true, true) {
                    self.wrong = Some(self.fault(Fault::Swallows));
                    return place;
                }
            }
            self.at = match (self.at, byte) {
                (At::Begin | At::Closed, b'"') => At::Quoted,
                (At::Quoted, b'"') => At::Closed,
                (At::Quoted, _) => At::Quoted,
                (At::Begin | At::Plain | At::Closed, _) if ends => At::Begin,
                (At::Closed, _) => {
                    self.wrong = Some(self.fault(Fault::Behind));
                    return place;
                }
                // Cells between tabs are often written as they are; there a quote that opens nothing is one character of the text,
                // however the file is read.
                (At::Plain, b'"') if self.delimiter != b'\t' => {
                    self.wrong = Some(self.fault(Fault::Within));
                    return place;
                }
                (At::Begin | At::Plain, _) => At::Plain,
            };
            let new_line = byte == b'\r' || (byte == b'\n' && !self.after_return);
            self.line += usize::from(new_line);
            self.after_return = byte == b'\r';
        }
        bytes.len()
    }

    fn fault(&self, fault: Fault) -> Wrong {
        Wrong {
            line: self.began,
            fault,
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(wrong) = self.wrong {
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        let length = self.inner.read(buffer)?;
        if length == 0 && self.at == At::Quoted && !buffer.is_empty() {
            let wrong = self.fault(Fault::Open);
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        let good = self.checked(&buffer[..length]);
        if good == 0
            && let Some(wrong) = self.wrong
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        Ok(good)
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Open,
    Behind,
    Within,
    Swallows,
}

/// A cell whose quotes are not what the format has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong {
    /// Line in which the cell begins.
    pub(super) line: usize,
    fault: Fault,
}

impl Wrong {
    /// What is wrong with a table, where its quotes are.
    pub(super) fn of(error: &csv::Error) -> Option<Self> {
        match error.kind() {
            csv::ErrorKind::Io(error) => error.get_ref()?.downcast_ref().copied(),
            _ => None,
        }
    }

    pub(super) fn problem(self) -> Problem {
        let help = match self.fault {
            Fault::Open => {
                "close it; a cell that begins with a quote is quoted as a whole, and each quote of its text is written twice, as `\"\"`"
            }
            Fault::Behind => {
                "a closing quote ends the cell; within a quoted cell each quote of its text is written twice, as `\"\"` and not as `\\\"`"
            }
            Fault::Swallows => {
                "where the quote is a character of the text, put the cell in quotes and write each quote twice, as `\"\"`; a cell that has both can be written as `csv` or `jsonl`"
            }
            Fault::Within => {
                "put the whole cell in quotes, and write each quote of its text twice, as `\"\"`"
            }
        };
        Problem::failed(self.to_string()).help(help)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.fault {
            Fault::Open => "a quoted cell begins here, and nothing closes it",
            Fault::Behind => "a cell that begins here has text behind its closing quote",
            Fault::Swallows => {
                "a quoted cell begins here that goes on over a tab and the end of a line"
            }
            Fault::Within => "a cell that begins here has a quote in it, and is not quoted itself",
        })
    }
}

impl std::error::Error for Wrong {}
