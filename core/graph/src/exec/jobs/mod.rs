//! Makes nodes as jobs of a cluster. A job is what a session is on one machine: one load of one model with all its nodes.

mod record;
mod session;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use driftgauge_cluster::{
    Desk, Live, Pace, Profile, Resources, Submission, Task, WorkOrder, follow, script,
};
use driftgauge_problem::Problem;
use driftgauge_store::Digest;

pub use self::record::{RecordedJob, recorded_jobs};
use self::session::Session;
use super::executor::{Executor, Here, Making, Place};
use super::local::Local;
use super::serve;
use super::size::folder_size;
use crate::context::Context;
use crate::nodes::models::model_folder;
use crate::plan::{Kind, Part};
use crate::resolved::ModelSource;

/// What a run's jobs have in common.
#[derive(Debug, Clone)]
pub struct JobsSettings {
    /// How the cluster is used.
    pub profile: Profile,
    /// What the names of the run's jobs begin with.
    pub run: String,
    /// Folder of the jobs, inside the run folder.
    pub folder: PathBuf,
    /// Where jobs are started.
    pub working_dir: PathBuf,
    /// The program that jobs run.
    pub program: PathBuf,
    /// What jobs are told, but for their nodes.
    pub order: WorkOrder,
}

/// A cluster.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    settings: JobsSettings,
    desk: Desk,
    /// Jobs of an earlier driver that may still be alive, and which of them has a key.
    open: Mutex<HashMap<String, Arc<RecordedJob>>>,
    running: AtomicUsize,
}

impl Jobs {
    /// The jobs of a run; those that an earlier driver left are taken over.
    ///
    /// # Errors
    /// When the queue cannot be used, or the folder of the jobs not be read.
    pub fn open(settings: JobsSettings) -> Result<Self, Problem> {
        let desk = Desk::new(settings.profile.queue()?, Pace::of(&settings.profile));
        let mut open = HashMap::new();
        for job in recorded_jobs(&settings.folder)? {
            if job.is_over() {
                job.close()?;
                continue;
            }
            let job = Arc::new(job);
            open.extend(
                job.order
                    .keys
                    .iter()
                    .map(|key| (key.clone(), Arc::clone(&job))),
            );
        }
        let shared = Shared {
            settings,
            desk,
            open: Mutex::new(open),
            running: AtomicUsize::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Requests that were made to the queue.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.desk.requests()
    }

    /// The jobs that an earlier driver left and that have not ended yet.
    #[must_use]
    pub fn adopted(&self) -> usize {
        let open = self.shared.open();
        let mut names: Vec<_> = open.values().map(|job| &job.name).collect();
        names.sort();
        names.dedup();
        names.len()
    }

    /// What would be submitted for nodes that are still to be made: name, nodes, resources and script. A merged model's size is not
    /// known before it is merged.
    #[must_use]
    pub fn would_submit(&self, context: &Context, missing: &[usize]) -> Vec<PlannedJob> {
        let heavy = |&node: &usize| {
            context.plan.nodes[node].kind.is_heavy()
                && !serve::is_light(context, node)
                && !serve::is_remote(context, node)
        };
        let mut left: Vec<usize> = missing.iter().copied().filter(heavy).collect();
        let mut planned = Vec::new();
        while let Some(&first) = left.first() {
            let nodes = serve::group(context, first, &left);
            left.retain(|node| !nodes.contains(node));
            let keys = keys(context, &nodes);
            let name = session::name_of(&self.shared.settings.run, &keys);
            let resources = self.shared.resources(context, first);
            let folder = self.shared.settings.folder.join(&name).join("try-1");
            let text = self
                .shared
                .script(&format!("{name}.1"), &folder, &resources);
            planned.push(PlannedJob {
                name: format!("{name}.1"),
                task: task(context, first),
                nodes: nodes
                    .iter()
                    .map(|&node| context.plan.nodes[node].id.clone())
                    .collect(),
                resources,
                script: text,
                log: folder.join(record::LOG),
            });
        }
        planned
    }

    /// Asks the queue whether it would take a job; nothing is submitted.
    ///
    /// # Errors
    /// With what the queue has against it.
    pub async fn test(&self, job: &PlannedJob, script: &Path) -> Result<String, Problem> {
        let submission = Submission {
            name: &job.name,
            script,
            log: &job.log,
            resources: &job.resources,
        };
        self.shared.desk.queue().test(submission).await
    }
}

/// A job that has not been submitted.
#[derive(Debug, Clone)]
pub struct PlannedJob {
    /// Its name.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// What it asks for.
    pub resources: Resources,
    /// Its script.
    pub script: String,
    /// Its log.
    pub log: PathBuf,
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<RecordedJob>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job of an earlier driver that has a node.
    fn holder(&self, context: &Context, node: usize) -> Option<Arc<RecordedJob>> {
        let key = context.plan.nodes[node].key.as_ref()?;
        self.open().get(key.as_str()).cloned()
    }

    /// The script of the try in a folder.
    fn script(&self, name: &str, folder: &Path, resources: &Resources) -> String {
        let settings = &self.settings;
        let (script_path, log) = (folder.join(record::SCRIPT), folder.join(record::LOG));
        let job = Submission {
            name,
            script: &script_path,
            log: &log,
            resources,
        };
        let work = folder.join(record::WORK).display().to_string();
        script(
            &settings.profile,
            &job,
            &settings.working_dir,
            &settings.program,
            &["job".to_owned(), work],
        )
    }

    /// What the job of a node asks for.
    fn resources(&self, context: &Context, node: usize) -> Resources {
        let model = serve::model_of(context, node);
        let of_model = model.and_then(|model| context.experiment.models.get(&model));
        let of_model = of_model
            .map(|model| model.resources.clone())
            .unwrap_or_default();
        let reckoned = Resources {
            memory: reckoned_memory(context, node),
            ..Resources::default()
        };
        self.settings
            .profile
            .resources(task(context, node), &of_model, &reckoned)
    }

    async fn make(
        self: Arc<Self>,
        context: Arc<Context>,
        nodes: Vec<usize>,
    ) -> crate::context::Finished {
        let adopted = nodes.first().and_then(|&node| self.holder(&context, node));
        let live = match &adopted {
            Some(job) => self.take_over(&context, &nodes, job).await,
            None => None,
        };
        // A job may have begun with more nodes than are left of it.
        let name = match &adopted {
            Some(job) => job.name.clone(),
            None => session::name_of(&self.settings.run, &keys(&context, &nodes)),
        };
        let session = Session::new(Arc::clone(&self), Arc::clone(&context), nodes, name);
        let followed = tokio::select! {
            followed = follow(&self.desk, &session, live) => followed,
            () = context.cancel.wait() => return session.interrupted(),
        };
        session.finish(followed).await
    }

    /// What is known of a job that an earlier driver submitted, or was about to.
    async fn take_over(
        &self,
        context: &Context,
        nodes: &[usize],
        job: &RecordedJob,
    ) -> Option<Live> {
        self.open().retain(|_, other| other.name != job.name);
        let id = match job.submitted.as_ref() {
            Some(submitted) => submitted.id.clone(),
            // It died between its decision and the queue's answer.
            None => self.desk.find(&job.try_name()).await?,
        };
        let node = nodes.first()?;
        let text = format!("job {id} of an earlier run is taken over");
        context.note(&context.plan.nodes[*node].id, text);
        Some(Live {
            number: job.number,
            id,
            since: Instant::now(),
            progress: job
                .submitted
                .as_ref()
                .map_or(0, |submitted| submitted.progress),
        })
    }
}

/// Counts a job while it lives.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Executor for Jobs {
    fn group(&self, context: &Context, first: usize, ready: &[usize]) -> Vec<usize> {
        let nodes = serve::group(context, first, ready);
        if serve::is_remote(context, first) {
            return nodes;
        }
        // What a living job makes is awaited from that job, and from it alone.
        let holder = |node: usize| {
            self.shared
                .holder(context, node)
                .map(|job| job.name.clone())
        };
        let of_first = holder(first);
        let mut together = nodes;
        together.retain(|&node| holder(node) == of_first);
        together
    }

    fn place(&self, here: &Here, first: usize) -> Option<Place> {
        if serve::is_remote(&here.context, first) {
            return Local.place(here, first);
        }
        let most = self.shared.settings.profile.max_jobs.unwrap_or(usize::MAX);
        (self.shared.running.load(Ordering::SeqCst) < most).then_some(Place {
            slots: 0,
            exclusive: false,
        })
    }

    fn claim(&self, context: &Context, node: usize, key: &Digest) -> Digest {
        if serve::is_remote(context, node) {
            return key.clone();
        }
        // The artifact itself is claimed by the job, when it runs at last.
        Digest::of(format!("the job of {key}").as_bytes())
    }

    fn judges_last(&self) -> bool {
        // Jobs wait for nobody: a judge that is loaded twice costs less than a queue that stands empty.
        false
    }

    fn make(&self, here: &Here, nodes: Vec<usize>, place: Place, alone: bool) -> Making {
        // A server is asked from here: nodes of a cluster often reach none.
        if nodes
            .first()
            .is_some_and(|&first| serve::is_remote(&here.context, first))
        {
            return Local.make(here, nodes, place, alone);
        }
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.shared));
        let context = Arc::clone(&here.context);
        Box::pin(async move { Arc::clone(&counted.0).make(context, nodes).await })
    }
}

fn keys(context: &Context, nodes: &[usize]) -> Vec<String> {
    let keys = nodes
        .iter()
        .filter_map(|&node| context.plan.nodes[node].key.as_ref());
    let mut keys: Vec<String> = keys.map(|key| key.as_str().to_owned()).collect();
    keys.sort();
    keys
}

fn task(context: &Context, node: usize) -> Task {
    match context.plan.nodes[node].kind {
        Kind::Pretrain | Kind::Finetune | Kind::Checkpoint => Task::Training,
        Kind::Merge => Task::Merging,
        Kind::Generate => Task::Generation,
        Kind::Judge => Task::Judging,
        _ => Task::Scoring,
    }
}

/// A generous guess of the memory of a job: weights of 16 bits are computed in 32, twice while they are proven; a training holds
/// them once and what it does to them.
fn reckoned_memory(context: &Context, node: usize) -> Option<driftgauge_ranges::Memory> {
    const BESIDES: u64 = 3 << 30;
    let planned = &context.plan.nodes[node];
    let weights =
        |model: &str| model_folder(context, model).map_or(0, |folder| folder_size(&folder));
    let bytes = match &planned.part {
        Part::Model(model) => match &context.experiment.models[model].source {
            ModelSource::Pretrain(training) => {
                let shape = training.architecture.as_ref();
                // Parameters, gradient and the optimiser's two, in 32 bits.
                16 * shape.map_or(0, |shape| shape.parameters())
            }
            source => 4 * source.base().map_or(0, weights),
        },
        _ => {
            5 * serve::loads_of(context, node)
                .iter()
                .map(|model| weights(model))
                .sum::<u64>()
        }
    };
    let whole = (bytes + BESIDES).div_ceil(1 << 30) << 30;
    Some(driftgauge_ranges::Memory::bytes(whole))
}
