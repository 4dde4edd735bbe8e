//! Products of blocks against those of the numbers that candle makes of the same blocks.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};

use crate::blocks::{Format, Stored};
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

#[test]
fn a_product_is_that_of_the_dequantised_weights_to_the_bit() {
    for (format, ggml) in FORMATS {
        for (rows, inputs) in [(1, 256), (70, 512), (300, 768)] {
            let bytes = blocks(format, rows, inputs);
            let plain = dequantised(ggml, &bytes, rows, inputs);
            assert!(plain.iter().all(|x| x.is_finite()), "{format:?}");
            let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, rows, inputs);
            let mut row = vec![0.0; inputs];
            for (index, expected) in plain.chunks_exact(inputs).enumerate() {
                packed.row(index, &mut row);
                assert_eq!(row, expected, "{format:?}, row {index}");
            }
            let tensor = Tensor::from_slice(&plain, (rows, inputs), &Device::Cpu).unwrap();
            let whole = Packed::new(&[&tensor]).unwrap();
            let x = scattered(29 * inputs);
            let expected = product_of(&x, &whole);
            assert_eq!(product_of(&x, &packed), expected, "{format:?}");
            // Alone, a row gives what it gives beside others.
            for (x, expected) in x.chunks_exact(inputs).zip(expected.chunks_exact(rows)) {
                assert_eq!(product_of(x, &packed), expected, "{format:?}");
            }
        }
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
        let part = Packed::of_bytes(stored, &bytes, rows, inputs);
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
        let packed = Packed::of_bytes(Stored::Blocks(format), &bytes, 64, 1024);
        // Scales of six bits are bytes in memory.
        let more = match format {
            Format::Q4_K | Format::Q5_K => 64 * 4 * 4,
            _ => 0,
        };
        assert_eq!(packed.bytes(), bytes.len() + more, "{format:?}");
    }
}
