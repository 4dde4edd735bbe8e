//! Products of blocks against those of the numbers that candle makes of the same blocks.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};

use super::widest::Widest;
use super::{Blocks, Digits, Fixed, Kind, plain};
use crate::blocks::{Block, Format, Offset, Stored};
use crate::decode::product::Packed;

const FORMATS: [(Format, GgmlDType); 8] = [
    (Format::Q4_0, GgmlDType::Q4_0),
    (Format::Q4_1, GgmlDType::Q4_1),
    (Format::Q5_0, GgmlDType::Q5_0),
    (Format::Q5_1, GgmlDType::Q5_1),
    (Format::Q8_0, GgmlDType::Q8_0),
    (Format::Q4_K, GgmlDType::Q4K),
    (Format::Q5_K, GgmlDType::Q5K),
    (Format::Q6_K, GgmlDType::Q6K),
];

/// Blocks of every code and scale: scattered bytes, but for the block's own scale and offset, which are finite, with either sign, and
/// some of them subnormal.
fn blocks(format: Format, rows: usize, inputs: usize) -> Vec<u8> {
    let layout = format.layout();
    let count = rows * inputs / layout.numbers;
    let mut state = 1_u64;
    let mut byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut bytes: Vec<u8> = (0..count * layout.bytes).map(|_| byte()).collect();
    let places: &[usize] = match format {
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q6_K => &[208],
        _ => &[0, 2],
    };
    for (number, block) in bytes.chunks_exact_mut(layout.bytes).enumerate() {
        for place in places {
            // The exponent: from 2^-24 up to 2^0.
            let high = block[place + 1];
            block[place + 1] = match number % 5 {
                0 => high & 0b1000_0011,
                _ => high & 0b1011_1111,
            };
        }
    }
    bytes
}

fn dequantised(ggml: GgmlDType, bytes: &[u8], rows: usize, inputs: usize) -> Vec<f32> {
    let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, ggml).unwrap();
    let tensor = QTensor::new(storage, (rows, inputs)).unwrap();
    let tensor = tensor.dequantize(&Device::Cpu).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn product_of(x: &[f32], weight: &Packed) -> Vec<f32> {
    let mut y = Vec::new();
    weight.product(x, &mut y);
    y
}

fn scattered(count: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 37 % 1009) as f32 - 504.0) / 701.0;
    (0..count).map(number).collect()
}

/// What `blocks.rs` says of a product, without its digits and its panels: whole numbers in f64 and sums in i64, for one output.
fn by_definition(format: Format, blocks: &[u8], x: &[f32]) -> f32 {
    let layout = format.layout();
    let mut y = 0.0_f32;
    let of_blocks = x.chunks_exact(layout.numbers);
    for (bytes, x) in blocks.chunks_exact(layout.bytes).zip(of_blocks) {
        let block = Block::read(format, bytes);
        let code = |i: usize| match layout.offset {
            Offset::None => i64::from(block.codes[i].cast_signed()),
            _ => i64::from(block.codes[i]),
        };
        // Codes of five bits are counted from their middle, for which the scale makes up.
        let zero = match layout.offset {
            Offset::Fixed(zero) => i64::from(zero),
            Offset::Stored if layout.bits == 5 => 16,
            Offset::None | Offset::Stored => 0,
        };
        let (mut scaled, mut added) = (0.0_f32, 0.0_f32);
        for (part, first) in (0..layout.numbers).step_by(layout.of_scale()).enumerate() {
            let x = &x[first..][..layout.of_scale()];
            let most = x
                .iter()
                .fold(0.0, |most: f64, x| most.max(f64::from(x.abs())));
            let mut powers = (-126..).map(|exponent| 2.0_f64.powi(exponent));
            let power = powers.find(|power| most <= power * 8_224_012.0).unwrap();
            let whole = |x: &f32| (f64::from(*x) / power).round_ties_even() as i64;
            let terms = (first..).zip(x).map(|(i, x)| (code(i) - zero) * whole(x));
            let sum = terms.sum::<i64>() as f32;
            let power = power as f32;
            let inputs = x.iter().map(whole).sum::<i64>() as f32 * power;
            let taken = zero as f32 * inputs;
            match (layout.per_scale, layout.is_affine()) {
                (None, false) => scaled = sum * power,
                (None, true) => (scaled, added) = (sum.mul_add(power, taken), inputs),
                (Some(_), false) => {
                    let scale = f32::from(block.scales[part].cast_signed());
                    scaled = sum.mul_add(scale * power, scaled);
                }
                (Some(_), true) => {
                    let scale = f32::from(block.scales[part]);
                    scaled = sum.mul_add(scale * power, scaled);
                    if zero > 0 {
                        scaled = scale.mul_add(taken, scaled);
                    }
                    added = f32::from(block.offsets[part]).mul_add(inputs, added);
                }
            }
        }
        let half = |bytes| half::f16::from_le_bytes(bytes).to_f32();
        y = half(block.scale).mul_add(scaled, y);
        if layout.is_affine() {
            // What parts have is taken away.
            let sign = if layout.per_scale.is_some() {
                -1.0
            } else {
                1.0
            };
            y = (sign * half(block.offset)).mul_add(added, y);
        }
    }
    y
}

/// Numbers as a model has them: most small, some of them a thousand times as large, of either sign, zeros and subnormal ones.
fn activations(count: usize) -> Vec<f32> {
    let number = |(i, x): (usize, f32)| match i % 97 {
        0 => x * 1e3,
        1 => 0.0,
        2 => x * 1e-40,
        i if i < 60 => x * 1e-2,
        _ => x,
    };
    scattered(count)
        .into_iter()
        .enumerate()
        .map(number)
        .collect()
}

#[test]
fn a_product_is_the_exact_sums_that_it_is_said_to_be() {
    for (format, _) in FORMATS {
        for (rows, inputs) in [(1, 256), (70, 512), (100, 768)] {
            let layout = format.layout();
            let bytes = blocks(format, rows, inputs);
            let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, rows, inputs).unwrap();
            let x = activations(5 * inputs);
            let found = product_of(&x, &packed);
            let of_row = inputs / layout.numbers * layout.bytes;
            for (x, found) in x.chunks_exact(inputs).zip(found.chunks_exact(rows)) {
                for (blocks, found) in bytes.chunks_exact(of_row).zip(found) {
                    assert_eq!(*found, by_definition(format, blocks, x), "{format:?}");
                }
                // Alone, a row gives what it gives beside others.
                assert_eq!(product_of(x, &packed), found, "{format:?}");
            }
        }
    }
}

#[test]
fn a_product_is_nearer_to_the_dequantised_weights_than_a_chain_in_f32() {
    for (format, ggml) in FORMATS {
        let (rows, inputs) = (70, 2048);
        let bytes = blocks(format, rows, inputs);
        let plain = dequantised(ggml, &bytes, rows, inputs);
        assert!(plain.iter().all(|x| x.is_finite()), "{format:?}");
        let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, rows, inputs).unwrap();
        let mut row = vec![0.0; inputs];
        for (index, expected) in plain.chunks_exact(inputs).enumerate() {
            packed.row(index, &mut row);
            assert_eq!(row, expected, "{format:?}, row {index}");
        }
        let x = activations(7 * inputs);
        let tensor = Tensor::from_slice(&plain, (rows, inputs), &Device::Cpu).unwrap();
        let chains = product_of(&x, &Packed::new(&[&tensor]).unwrap());
        let found = product_of(&x, &packed);
        let (mut ours, mut of_chains) = (0.0, 0.0);
        for (r, x) in x.chunks_exact(inputs).enumerate() {
            for (j, row) in plain.chunks_exact(inputs).enumerate() {
                let terms = || {
                    row.iter()
                        .zip(x)
                        .map(|(w, x)| f64::from(*w) * f64::from(*x))
                };
                let (exact, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
                let apart = |y: f32| ((f64::from(y) - exact) / size).powi(2);
                ours += apart(found[r * rows + j]);
                of_chains += apart(chains[r * rows + j]);
            }
        }
        assert!(ours < of_chains, "{format:?}: {ours:e} {of_chains:e}");
    }
}

/// The product of all panels by one way to compute it.
fn product_by(
    packed: &Blocks,
    (x, inputs, rows): (&[f32], usize, usize),
    kind: Kind,
    product: impl Fn(&Blocks, &Fixed, &mut [&mut [f32]]),
) -> Vec<f32> {
    let fixed = Fixed::new(x, inputs, kind);
    let mut y = vec![0.0; x.len() / inputs * rows];
    product(
        packed,
        &fixed,
        &mut y.chunks_exact_mut(rows).collect::<Vec<_>>(),
    );
    y
}

/// A number that three digits of 127 make, and the largest and the smallest codes, with every sign: no sum leaves its 16 bits.
#[test]
fn vectors_of_any_width_and_none_give_the_same_bytes_also_at_the_largest_sums() {
    let (rows, inputs) = (77, 768);
    let largest = (127 * 254 * 254 + 119 * 254 + 127) as f32;
    let signs = |i: usize| {
        if i.is_multiple_of(3) || (i / 64).is_multiple_of(2) {
            largest
        } else {
            -largest
        }
    };
    for (format, _) in FORMATS {
        let scattered_codes = blocks(format, rows, inputs);
        let mut extreme = scattered_codes.clone();
        for (number, block) in extreme.chunks_exact_mut(format.layout().bytes).enumerate() {
            let codes = [0xff, 0x00, 0x80, 0x7f][number % 4];
            let range = match format {
                Format::Q6_K => 0..208,
                Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => 2..block.len(),
                _ => 4..block.len(),
            };
            block[range].fill(codes);
        }
        for bytes in [scattered_codes, extreme] {
            let packed = Blocks::new(format, &bytes, inputs).unwrap();
            for count in [1, 2, 3, 12, 13] {
                let numbers = [
                    activations(count * inputs),
                    (0..count * inputs).map(signs).collect(),
                    vec![-largest; count * inputs],
                ];
                for x in numbers {
                    let of = (&x[..], inputs, rows);
                    let without = Kind {
                        digits: Digits::Two,
                        ..packed.kind()
                    };
                    let expected = product_by(&packed, of, without, |blocks, fixed, y| {
                        plain::product(format.layout(), blocks.panels(0), fixed, y);
                    });
                    #[cfg(target_arch = "x86_64")]
                    let ways = [
                        pulp::x86::V3::try_new().map(Widest::V3),
                        pulp::x86::V4::try_new().map(Widest::V4),
                    ];
                    #[cfg(not(target_arch = "x86_64"))]
                    let ways: [Option<Widest>; 0] = [];
                    for widest in ways.into_iter().flatten() {
                        let found = product_by(&packed, of, packed.kind(), |blocks, fixed, y| {
                            widest.product(format, blocks.panels(0), fixed, y);
                        });
                        assert_eq!(found, expected, "{format:?} {count}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so_in_its_own_row() {
    for (format, _) in FORMATS {
        let (rows, inputs) = (40, 512);
        let packed = Packed::of_bytes(
            Stored::Blocks(format),
            &blocks(format, rows, inputs),
            rows,
            inputs,
        )
        .unwrap();
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = scattered(3 * inputs);
            let expected = product_of(&x, &packed);
            x[inputs + 100] = wrong;
            let found = product_of(&x, &packed);
            assert!(
                found[rows..2 * rows].iter().all(|y| !y.is_finite()),
                "{format:?}"
            );
            assert_eq!(found[..rows], expected[..rows]);
            assert_eq!(found[2 * rows..], expected[2 * rows..]);
        }
        let nothing = vec![0.0; 2 * inputs];
        assert_eq!(
            product_of(&nothing, &packed),
            vec![0.0; 2 * rows],
            "{format:?}"
        );
    }
}

#[test]
fn rows_of_several_formats_stand_one_below_the_other() {
    let inputs = 512;
    let x = scattered(3 * inputs);
    let parts = [
        (Stored::Blocks(Format::Q4_K), 40),
        (Stored::Blocks(Format::Q6_K), 5),
        (Stored::F16, 33),
    ];
    let mut packed: Option<Packed> = None;
    let mut expected = vec![Vec::new(); 3];
    for (stored, rows) in parts {
        let bytes = match stored {
            Stored::Blocks(format) => blocks(format, rows, inputs),
            _ => {
                let numbers = scattered(rows * inputs).into_iter();
                numbers
                    .flat_map(|x| half::f16::from_f32(x).to_le_bytes())
                    .collect()
            }
        };
        let part = Packed::of_bytes(stored, &bytes, rows, inputs).unwrap();
        for (expected, x) in expected.iter_mut().zip(x.chunks_exact(inputs)) {
            expected.extend(product_of(x, &part));
        }
        match &mut packed {
            Some(packed) => packed.append(part),
            None => packed = Some(part),
        }
    }
    let packed = packed.unwrap();
    assert_eq!(packed.outputs(), 78);
    assert_eq!(product_of(&x, &packed), expected.concat());
    let mut row = vec![0.0; inputs];
    packed.row(77, &mut row);
    let last = scattered(33 * inputs).split_off(32 * inputs);
    let last: Vec<f32> = last
        .iter()
        .map(|&x| half::f16::from_f32(x).to_f32())
        .collect();
    assert_eq!(row, last);
}

#[test]
fn blocks_take_in_memory_what_they_take_in_the_file() {
    for (format, _) in FORMATS {
        let bytes = blocks(format, 64, 1024);
        let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, 64, 1024).unwrap();
        // Scales of six bits are bytes in memory.
        let more = match format {
            Format::Q4_K | Format::Q5_K => 64 * 4 * 4,
            _ => 0,
        };
        assert_eq!(packed.bytes(), bytes.len() + more, "{format:?}");
    }
}

#[test]
fn a_scale_that_is_not_finite_is_no_weight() {
    for (format, _) in FORMATS {
        let place = if format == Format::Q6_K { 208 } else { 0 };
        for wrong in [0x7c00_u16, 0xfc00, 0x7e00] {
            let mut bytes = blocks(format, 33, 512);
            let last = bytes.len() - format.layout().bytes + place;
            bytes[last..last + 2].copy_from_slice(&wrong.to_le_bytes());
            let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, 33, 512);
            assert!(packed.is_none(), "{format:?}");
        }
    }
}
