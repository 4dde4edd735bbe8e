//! A line through points: ordinary least squares with Student's interval of the slope.

use crate::Interval;
use crate::special::student_t_two_sided_quantile;
use crate::summary::{mean, sum};

/// How much the second number changes with the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Slope {
    /// Change of the second number for one more of the first.
    pub estimate: f64,
    /// Its standard error; `None` for points on one line, and for two points.
    pub se: Option<f64>,
    /// Its interval, with as many degrees of freedom as there are points less two.
    pub ci: Option<Interval>,
    /// Number of points.
    pub n: u64,
}

/// The slope of the line through points. Points are taken for independent with errors of one size; `None` for fewer than two
/// different first numbers, and for what is not finite.
#[must_use]
pub fn slope(points: &[(f64, f64)], level: f64) -> Option<Slope> {
    // A mean of what is not finite is none.
    let column = |get: fn(&(f64, f64)) -> f64| -> Vec<f64> { points.iter().map(get).collect() };
    let (mean_x, mean_y) = (mean(&column(|p| p.0))?, mean(&column(|p| p.1))?);
    let total = |of: &dyn Fn(f64, f64) -> f64| {
        let each = points.iter().map(|&(x, y)| of(x - mean_x, y - mean_y));
        sum(&each.collect::<Vec<f64>>())
    };
    let xx = total(&|dx, _| dx * dx)?;
    if xx <= 0.0 {
        return None;
    }
    let estimate = total(&|dx, dy| dx * dy)? / xx;
    let left = total(&|dx, dy| (dy - estimate * dx).powi(2))?;
    let yy = total(&|_, dy| dy * dy)?;
    let n = points.len() as u64;
    // What rounding leaves of points on one line is no spread.
    let se = (n > 2 && left > 1e-24 * yy).then(|| (left / (n - 2) as f64 / xx).sqrt());
    let ci = se.map(|se| {
        let reach = se * student_t_two_sided_quantile(1.0 - level, (n - 2) as f64);
        Interval::new(level, estimate - reach, estimate + reach, "ols-student-t")
    });
    Some(Slope {
        estimate,
        se,
        ci,
        n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_have_no_interval() {
        let line = slope(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)], 0.95).unwrap();
        assert!((line.estimate - 2.0).abs() < 1e-12);
        assert_eq!((line.se, line.ci, line.n), (None, None, 3));
        assert_eq!(slope(&[(1.0, 2.0), (2.0, 5.0)], 0.95).unwrap().ci, None);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 5.0)], 0.95), None);
        assert_eq!(slope(&[(1.0, f64::NAN), (2.0, 5.0)], 0.95), None);
        assert_eq!(slope(&[], 0.95), None);
    }
}
