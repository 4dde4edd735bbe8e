//! How numbers read: the one place that rounds.

/// U+2212, as wide as a plus sign.
const MINUS: char = '\u{2212}';

/// Whether numbers of this unit are shares in [0, 1], shown in percent.
pub(crate) fn is_share(unit: &str) -> bool {
    matches!(unit, "ratio" | "rate" | "share" | "fraction" | "proportion")
}

/// A value with its unit: `86.7 %`, `1.234`, `120`.
pub(crate) fn value(value: f64, unit: &str) -> String {
    if is_share(unit) {
        return format!("{} %", fixed(value * 100.0, 1));
    }
    match unit {
        "percent" => format!("{} %", fixed(value, 1)),
        "count" => fixed(value, 0),
        "nats" | "bits" | "seconds" => format!("{} {unit}", plain(value)),
        _ => plain(value),
    }
}

/// A difference with its sign: `+12.5 pp`, `−0.0310`.
pub(crate) fn difference(value: f64, unit: &str) -> String {
    let text = if is_share(unit) {
        format!("{} pp", fixed(value * 100.0, 1))
    } else if unit == "percent" {
        format!("{} pp", fixed(value, 1))
    } else {
        self::value(value, unit)
    };
    let zero = text
        .chars()
        .filter(char::is_ascii_digit)
        .all(|digit| digit == '0');
    if text.starts_with(MINUS) || zero {
        text
    } else {
        format!("+{text}")
    }
}

/// A published number or the measured one beside it: shares keep two decimals of a percent, so that rounding hides no difference.
pub(crate) fn published(value: f64, unit: &str, is_difference: bool) -> String {
    if !is_share(unit) {
        return self::value(value, unit);
    }
    let text = fixed(value * 100.0, 2);
    match (is_difference, value > 0.0) {
        (true, true) => format!("+{text} pp"),
        (true, false) => format!("{text} pp"),
        (false, _) => format!("{text} %"),
    }
}

/// The level of an interval: `95 %`, `99.9 %`.
pub(crate) fn level(level: f64) -> String {
    let text = fixed(level * 100.0, 4);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Decimals that tell the ends of an interval apart, at most.
const DECIMALS: usize = 6;
/// What is nearer to zero than this is zero, but for rounding on the way.
const BESIDE_ZERO: f64 = 5e-6;

/// The bounds of an interval without their unit: `74.1 to 94.5`. Bounds that differ read differently.
pub(crate) fn bounds(low: f64, high: f64, unit: &str) -> String {
    let (scale, least) = if is_share(unit) {
        (100.0, 1)
    } else if unit == "percent" {
        (1.0, 1)
    } else if unit == "count" {
        (1.0, 0)
    } else {
        let most = low.abs().max(high.abs());
        let (short, long) = (plain(low), plain(high));
        let whole = low.fract() == 0.0 && high.fract() == 0.0;
        let even = (0.001..1e4).contains(&most) && low.is_finite() && high.is_finite();
        if (low == high || short != long) && (whole || !even) {
            return format!("{short} to {long}");
        }
        (1.0, if even { decimals(most) } else { 4 })
    };
    let text = |decimals: usize| (fixed(low * scale, decimals), fixed(high * scale, decimals));
    // A bound beside zero must not read as zero.
    let hidden = |bound: f64, text: &str| (bound * scale).abs() > BESIDE_ZERO && is_zero(text);
    let decimals = (least..DECIMALS)
        .find(|decimals| {
            let (low_text, high_text) = text(*decimals);
            low_text != high_text && !hidden(low, &low_text) && !hidden(high, &high_text)
        })
        .filter(|_| low != high)
        .unwrap_or(least);
    let (low, high) = text(decimals);
    format!("{low} to {high}")
}

fn is_zero(text: &str) -> bool {
    text.chars().all(|c| !c.is_ascii_digit() || c == '0')
}

/// A p-value: `0.031`, `4.1 × 10⁻⁵`, `< 10⁻¹⁵`, and `≤ 1.0 × 10⁻⁴` where it is no more than a bound.
pub(crate) fn p_value(p: f64, is_bound: bool) -> String {
    if is_bound && p < 0.9995 {
        return format!("≤ {}", p_value(p, false));
    }
    if p.is_nan() {
        return "–".to_owned();
    }
    if p < 1e-15 {
        return "< 10⁻¹⁵".to_owned();
    }
    if p >= 0.001 {
        return if p >= 0.9995 {
            "1".to_owned()
        } else {
            fixed(p, 3)
        };
    }
    scientific(p, 1)
}

/// A number without unit: three digits that matter at least, or powers of ten where those would hide it.
pub(crate) fn plain(value: f64) -> String {
    let size = value.abs();
    if size.fract() == 0.0 && size < 1e4 {
        fixed(value, 0)
    } else if !value.is_finite() {
        "–".to_owned()
    } else if (0.001..1e4).contains(&size) {
        fixed(value, decimals(size))
    } else if (1e4..1e7).contains(&size) {
        thousands(&fixed(value, 0))
    } else {
        scientific(value, 2)
    }
}

/// Decimals that leave three digits that matter, of numbers from a thousandth on.
fn decimals(size: f64) -> usize {
    match size {
        1000.0.. => 1,
        100.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        _ => 5,
    }
}

/// A count with thin spaces between groups of three digits.
pub(crate) fn count(value: u64) -> String {
    thousands(&value.to_string())
}

fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.chars().all(|c| c == '0' || c == '.');
    if value < 0.0 && !zero {
        format!("{MINUS}{text}")
    } else {
        text
    }
}

fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: String = exponent
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            _ => c
                .to_digit(10)
                .and_then(|digit| char::from_u32(0x2070 + digit))
                .unwrap_or(c),
        })
        .collect();
    format!("{} × 10{exponent}", mantissa.replace('-', "\u{2212}"))
}

/// A tick of a logarithmic axis: `10⁻⁵`, `0.01`, `100`; nothing between whole powers.
pub(crate) fn power_of_ten(exponent: f64) -> String {
    let whole = exponent.round();
    if (exponent - whole).abs() > 1e-6 {
        return String::new();
    }
    match whole as i32 {
        power @ 0..=4 => return fixed(10_f64.powi(power), 0),
        power @ -3..=-1 => return fixed(10_f64.powi(power), power.unsigned_abs() as usize),
        _ => {}
    }
    scientific(10_f64.powi(whole as i32), 0).split_off("1 × ".len())
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix(MINUS) {
        Some(rest) => ("\u{2212}", rest),
        None => ("", digits),
    };
    let mut out = String::from(sign);
    for (index, c) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_unit() {
        assert_eq!(value(0.8666, "ratio"), "86.7 %");
        assert_eq!(value(-0.00001, "ratio"), "0.0 %");
        assert_eq!(value(1.23456, "perplexity"), "1.235");
        assert_eq!(value(120.0, "count"), "120");
        assert_eq!(value(0.000012, ""), "1.20 × 10⁻⁵");
        assert_eq!((plain(0.0), plain(-4.0)), ("0".into(), "−4".into()));
        assert_eq!(value(123_456.0, ""), "123\u{202f}456");
    }

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!(difference(0.125, "ratio"), "+12.5 pp");
        assert_eq!(difference(-0.031, ""), "−0.0310");
        assert_eq!(difference(0.0, "ratio"), "0.0 pp");
    }

    #[test]
    fn bounds_that_differ_read_differently() {
        assert_eq!(bounds(0.741, 0.945, "ratio"), "74.1 to 94.5");
        assert_eq!(bounds(-0.00141, -0.00131, "nats"), "−0.00141 to −0.00131");
        assert_eq!(bounds(0.34631, 0.34638, "nats"), "0.3463 to 0.3464");
        assert_eq!(bounds(0.5001, 0.5004, "ratio"), "50.01 to 50.04");
        assert_eq!(bounds(0.0, 0.0, "ratio"), "0.0 to 0.0");
        assert_eq!(bounds(0.0, 60.0, ""), "0 to 60");
    }

    #[test]
    fn both_bounds_have_as_many_decimals_and_none_reads_as_zero() {
        assert_eq!(bounds(-0.00102, -8.31e-4, "nats"), "−0.00102 to −0.00083");
        assert_eq!(bounds(-0.0717, -4.01e-5, "nats"), "−0.07170 to −0.00004");
        assert_eq!(bounds(0.0906, 0.222, "nats"), "0.091 to 0.222");
        assert_eq!(bounds(0.0002, 0.05, "ratio"), "0.02 to 5.00");
        assert_eq!(bounds(1e-17, 0.06, "ratio"), "0.0 to 6.0");
        assert_eq!(bounds(2e-7, 4e-6, ""), "2.00 × 10⁻⁷ to 4.00 × 10⁻⁶");
    }

    #[test]
    fn small_p_values_stay_readable() {
        assert_eq!(p_value(0.0312, false), "0.031");
        assert_eq!(p_value(4.13e-5, false), "4.1 × 10⁻⁵");
        assert_eq!(p_value(3.6e-42, false), "< 10⁻¹⁵");
        assert_eq!(p_value(1.0, false), "1");
    }
}
