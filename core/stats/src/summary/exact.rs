//! Sums that do not depend on the order or the sharding of the values.

/// Bits of one limb of [`ExactSum`].
const LIMB_BITS: u32 = 32;
/// Limbs enough for every finite f64: bits 2^-1074 to 2^1024, and room for carries.
const LIMBS: usize = 68;
/// Additions after which carries must move on, so that no limb overflows.
const CARRY_AFTER: u32 = 1 << 29;

/// An exact sum of f64 values (a fixed-point superaccumulator, Neal 2015, arXiv 1505.05571): whatever the order, and however
/// the values were sharded and merged, the result is the same f64.
#[derive(Debug, Clone)]
pub struct ExactSum {
    /// Limb i counts units of 2^(32 i - 1074).
    limbs: [i64; LIMBS],
    pending: u32,
    count: u64,
    not_finite: bool,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self {
            limbs: [0; LIMBS],
            pending: 0,
            count: 0,
            not_finite: false,
        }
    }
}

impl ExactSum {
    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as u32;
        if exponent == 0x7ff {
            self.not_finite = true;
            return;
        }
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = if exponent == 0 {
            (fraction, 0)
        } else {
            (fraction | 1 << 52, exponent - 1)
        };
        // 53 bits shifted by at most 31: they fall into three limbs.
        let wide = u128::from(mantissa) << (shift % LIMB_BITS);
        let first = (shift / LIMB_BITS) as usize;
        let negative = bits >> 63 == 1;
        for (offset, limb) in self.limbs[first..first + 3].iter_mut().enumerate() {
            let part = (wide >> (LIMB_BITS as usize * offset) & 0xffff_ffff) as i64;
            *limb += if negative { -part } else { part };
        }
        self.pending += 1;
        if self.pending == CARRY_AFTER {
            self.carry();
        }
    }

    /// Adds another shard's sum.
    pub fn merge(&mut self, other: &Self) {
        self.carry();
        let mut other = other.clone();
        other.carry();
        for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
            *limb += more;
        }
        self.pending = 1;
        self.count += other.count;
        self.not_finite |= other.not_finite;
    }

    /// The sum of so many copies of what was added; less than 2^31 of them, so that no limb overflows.
    pub(super) fn times(mut self, copies: u32) -> Self {
        self.carry();
        for limb in &mut self.limbs {
            *limb *= i64::from(copies);
        }
        self.carry();
        self.count *= u64::from(copies);
        self
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum, rounded once (to within one unit in the last place); `None` when a value was not finite or the sum overflows.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        if self.not_finite {
            return None;
        }
        let mut exact = self.clone();
        exact.carry();
        // Only the highest limb keeps a sign; a negative sum is turned round so that the limbs add up without cancelling.
        let negative = exact.limbs[LIMBS - 1] < 0;
        if negative {
            exact.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            exact.carry();
        }
        let top = exact.limbs.iter().rposition(|&limb| limb != 0);
        let Some(top) = top else {
            return Some(0.0);
        };
        // Four limbs hold at least 97 significant bits: more than enough for one rounding.
        let lowest = top.saturating_sub(3);
        let wide = exact.limbs[lowest..=top]
            .iter()
            .rev()
            .fold(0_u128, |sum, &limb| {
                sum << LIMB_BITS | u128::from(limb.unsigned_abs())
            });
        // Two factors: 2^-1074 is subnormal, and multiplying by it twice would round twice.
        let exponent = LIMB_BITS as i32 * lowest as i32 - 1074;
        let half = exponent / 2;
        let magnitude = wide as f64 * 2_f64.powi(half) * 2_f64.powi(exponent - half);
        magnitude
            .is_finite()
            .then_some(if negative { -magnitude } else { magnitude })
    }

    /// Mean of the values added; `None` of nothing.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0)
            .then(|| Some(self.value()? / self.count as f64))
            .flatten()
    }

    /// Moves carries up, so that all limbs but the highest are in [0, 2^32).
    fn carry(&mut self) {
        let mut carried = 0;
        let last = LIMBS - 1;
        for limb in &mut self.limbs[..last] {
            let total = *limb + carried;
            *limb = total & 0xffff_ffff;
            carried = total >> LIMB_BITS;
        }
        self.limbs[last] += carried;
        self.pending = 0;
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        sum.extend(values);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::sum;
    use super::*;

    #[test]
    fn order_and_shards_do_not_matter() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i).sin() * 1e10).collect();
        let mut reversed = values.clone();
        reversed.reverse();
        assert_eq!(sum(&values), sum(&reversed));
        let mut merged = ExactSum::default();
        for shard in values.chunks(77).rev() {
            merged.merge(&shard.iter().copied().collect());
        }
        assert_eq!(merged.value(), sum(&values));
        assert_eq!(merged.count(), 1000);
    }

    #[test]
    fn the_sum_is_exact() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]), Some(1.0));
        assert_eq!(sum(&[0.1; 10]), Some(1.0));
        assert_eq!(sum(&[5e-324, 5e-324]), Some(1e-323));
        assert_eq!(sum(&[-0.5, -0.25]), Some(-0.75));
        assert_eq!(sum(&[f64::MAX, f64::MAX]), None);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), Some(f64::MAX));
        assert_eq!(sum(&[1.0, f64::NAN]), None);
        assert_eq!(sum(&[]), Some(0.0));
    }
}
