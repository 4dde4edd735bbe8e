//! Jobs on a cluster, whatever they do: profiles, queues, scripts, and what becomes of a try that ended.
//!
//! Nothing here knows of models or nodes. A [`Queue`] takes scripts and says what it knows of them; [`follow()`] brings one piece of
//! work to its end through as many tries as that takes. Whether work is done, only its own files tell: what a queue says of a job
//! decides between waiting and submitting again, nothing else.

mod call;
mod command;
mod end;
mod extra;
mod follow;
mod profile;
mod queue;
mod resources;
mod script;
mod slurm;
mod state;
mod template;
mod tries;

pub use command::{CommandQueue, Commands};
pub use end::{
    JobEnd, Machine, NodeEnd, SCHEMA, Shards, Stop, WorkOrder, end_file, events_file, read_json,
    write_json,
};
pub use follow::{Desk, Followed, Live, Pace, Prepared, Said, Work, follow};
pub use profile::{ExecutorKind, Profile};
pub use queue::{Answer, Array, JobId, Listed, Queue, Refusal, Submission};
pub use resources::{Asked, Reckoned, Resources, Task};
pub use script::script;
pub use slurm::Slurm;
pub use state::{End, State};
pub use tries::{Next, TryEnd, next};
