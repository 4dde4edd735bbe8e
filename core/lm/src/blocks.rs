//! The block formats of GGUF files: a few bits for each number, and scales that neighbours in a row share.

/// How numbers are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    F32,
    F16,
    Bf16,
    Blocks(Format),
}

/// A format, by the name that llama.cpp gives it.
#[expect(non_camel_case_types, reason = "their names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// What is added to scaled codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offset {
    /// Nothing: codes have a sign.
    None,
    /// So many scales are taken away.
    Fixed(u8),
    /// Each block says what.
    Stored,
}

/// How a format is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Numbers of a block.
    pub(crate) numbers: usize,
    /// Bytes of a block in a file.
    pub(crate) bytes: usize,
    /// Bits of a code.
    pub(crate) bits: usize,
    /// Numbers that share a scale, where a block has several: each is a whole number times the block's.
    pub(crate) per_scale: Option<usize>,
    pub(crate) offset: Offset,
}

impl Format {
    pub(crate) const ALL: [(Self, &'static str, Layout); 8] = {
        const fn of(
            numbers: usize,
            bytes: usize,
            bits: usize,
            per_scale: Option<usize>,
            offset: Offset,
        ) -> Layout {
            Layout {
                numbers,
                bytes,
                bits,
                per_scale,
                offset,
            }
        }
        [
            (Self::Q4_0, "Q4_0", of(32, 18, 4, None, Offset::Fixed(8))),
            (Self::Q4_1, "Q4_1", of(32, 20, 4, None, Offset::Stored)),
            (Self::Q5_0, "Q5_0", of(32, 22, 5, None, Offset::Fixed(16))),
            (Self::Q5_1, "Q5_1", of(32, 24, 5, None, Offset::Stored)),
            (Self::Q8_0, "Q8_0", of(32, 34, 8, None, Offset::None)),
            (
                Self::Q4_K,
                "Q4_K",
                of(256, 144, 4, Some(32), Offset::Stored),
            ),
            (
                Self::Q5_K,
                "Q5_K",
                of(256, 176, 5, Some(32), Offset::Stored),
            ),
            (
                Self::Q6_K,
                "Q6_K",
                of(256, 210, 6, Some(16), Offset::Fixed(32)),
            ),
        ]
    };

    /// The format of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|known| known.1 == name).map(|known| known.0)
    }

    pub(crate) const fn layout(self) -> Layout {
        Self::ALL[self as usize].2
    }
}

impl Layout {
    /// Scales of the parts of a block.
    pub(crate) const fn scales(self) -> usize {
        match self.per_scale {
            Some(shared) => self.numbers / shared,
            None => 0,
        }
    }

    /// Numbers that share a scale.
    pub(crate) const fn of_scale(self) -> usize {
        match self.per_scale {
            Some(shared) => shared,
            None => self.numbers,
        }
    }

    /// Whether a scale has an offset beside it.
    pub(crate) const fn is_affine(self) -> bool {
        matches!(self.offset, Offset::Stored)
    }
}

/// What a block of a file says.
pub(crate) struct Block {
    /// Scale and offset of the block, numbers of IEEE's 16 bits.
    pub(crate) scale: [u8; 2],
    pub(crate) offset: [u8; 2],
    /// Those of its parts.
    pub(crate) scales: [u8; 16],
    pub(crate) offsets: [u8; 8],
    /// In the order of the numbers.
    pub(crate) codes: [u8; 256],
}

impl Block {
    /// Reads as many bytes as a block has.
    pub(crate) fn read(format: Format, bytes: &[u8]) -> Self {
        let mut block = Self {
            scale: [bytes[0], bytes[1]],
            offset: [0; 2],
            scales: [0; 16],
            offsets: [0; 8],
            codes: [0; 256],
        };
        match format {
            Format::Q4_0 => block.nibbles(&bytes[2..]),
            Format::Q4_1 => {
                block.offset = [bytes[2], bytes[3]];
                block.nibbles(&bytes[4..]);
            }
            Format::Q5_0 => {
                block.nibbles(&bytes[6..]);
                block.fifth_bits(&bytes[2..6]);
            }
            Format::Q5_1 => {
                block.offset = [bytes[2], bytes[3]];
                block.nibbles(&bytes[8..]);
                block.fifth_bits(&bytes[4..8]);
            }
            Format::Q8_0 => block.codes[..32].copy_from_slice(&bytes[2..34]),
            Format::Q4_K => {
                block.offset = [bytes[2], bytes[3]];
                block.sixes(&bytes[4..16]);
                block.nibbles_by_64(&bytes[16..144]);
            }
            Format::Q5_K => {
                block.offset = [bytes[2], bytes[3]];
                block.sixes(&bytes[4..16]);
                block.nibbles_by_64(&bytes[48..176]);
                for (i, code) in block.codes.iter_mut().enumerate() {
                    *code |= (bytes[16 + i % 32] >> (i / 32) & 1) << 4;
                }
            }
            Format::Q6_K => {
                block.scale = [bytes[208], bytes[209]];
                block.scales.copy_from_slice(&bytes[192..208]);
                for (i, code) in block.codes.iter_mut().enumerate() {
                    let (half, i) = (i / 128, i % 128);
                    let low = bytes[64 * half + i % 64] >> (4 * (i / 64)) & 15;
                    let high = bytes[128 + 32 * half + i % 32] >> (2 * (i / 32)) & 3;
                    *code = low | high << 4;
                }
            }
        }
        block
    }

    /// The low halves of all bytes, then the high ones.
    fn nibbles(&mut self, bytes: &[u8]) {
        for (i, code) in self.codes[..32].iter_mut().enumerate() {
            *code = bytes[i % 16] >> (4 * (i / 16)) & 15;
        }
    }

    fn fifth_bits(&mut self, bytes: &[u8]) {
        for (i, code) in self.codes[..32].iter_mut().enumerate() {
            *code |= (bytes[i / 8] >> (i % 8) & 1) << 4;
        }
    }

    /// The same for each 32 bytes.
    fn nibbles_by_64(&mut self, bytes: &[u8]) {
        for (i, code) in self.codes.iter_mut().enumerate() {
            *code = bytes[32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2)) & 15;
        }
    }

    /// Eight scales and eight offsets of six bits: of the last four, the highest two bits stand beside the first four.
    fn sixes(&mut self, bytes: &[u8]) {
        for i in 0..4 {
            self.scales[i] = bytes[i] & 63;
            self.offsets[i] = bytes[i + 4] & 63;
            self.scales[i + 4] = bytes[i + 8] & 15 | bytes[i] >> 6 << 4;
            self.offsets[i + 4] = bytes[i + 8] >> 4 | bytes[i + 4] >> 6 << 4;
        }
    }
}
