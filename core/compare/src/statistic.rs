//! What a number of pooled answers is to the statistics.

use driftgauge_plugin_protocol::wire::PooledStatistic;
use driftgauge_stats::calibration::{Pooled, RankStatistic};

pub(super) fn number_of(statistic: PooledStatistic) -> Pooled {
    match statistic {
        PooledStatistic::Auroc => Pooled::Rank(RankStatistic::Auroc),
        PooledStatistic::Aurc => Pooled::Rank(RankStatistic::Aurc),
        PooledStatistic::Prr => Pooled::Rank(RankStatistic::Prr),
        PooledStatistic::CalibrationError { bins } => Pooled::CalibrationError {
            bins: bins as usize,
        },
        PooledStatistic::Kappa => Pooled::Kappa,
        PooledStatistic::Ac1 => Pooled::Ac1,
    }
}
