//! Makes nodes as jobs of a cluster. A job is what a session is on one machine: one load of one model with all its nodes.

mod reckon;
mod record;
mod session;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use driftgauge_cluster::{
    Array, Asked, Desk, JobId, Live, Pace, Profile, Reckoned, Resources, Submission, Task,
    WorkOrder, follow, script,
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
use crate::forecast::Rates;
use crate::plan::Kind;

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
    /// What nodes took before, as it was known when the run began.
    rates: OnceLock<Rates>,
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
            rates: OnceLock::new(),
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
            let shards = self.shared.shards(context, &nodes);
            let asked = self.shared.asked(context, &nodes, shards);
            let folder = self.shared.settings.folder.join(&name).join("try-1");
            let array = (shards > 1).then(|| Array {
                tasks: (0..shards).collect(),
            });
            let text = self.shared.script(
                &format!("{name}.1"),
                &folder,
                &asked.resources,
                array.as_ref(),
            );
            planned.push(PlannedJob {
                name: format!("{name}.1"),
                array,
                task: task(context, first),
                nodes: nodes
                    .iter()
                    .map(|&node| context.plan.nodes[node].id.clone())
                    .collect(),
                asked,
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
            resources: &job.asked.resources,
            array: job.array.as_ref(),
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
    /// What it, or each of its tasks, asks for.
    pub asked: Asked,
    /// Its tasks, where its answers are divided.
    pub array: Option<Array>,
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
    fn script(
        &self,
        name: &str,
        folder: &Path,
        resources: &Resources,
        array: Option<&Array>,
    ) -> String {
        let settings = &self.settings;
        let (script_path, log) = (folder.join(record::SCRIPT), folder.join(record::LOG));
        let job = Submission {
            name,
            script: &script_path,
            log: &log,
            resources,
            array,
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

    /// What is foreseen of nodes that one job makes.
    fn foreseen(&self, context: &Context, nodes: &[usize]) -> reckon::Foreseen {
        let rates = self.rates.get_or_init(|| Rates::load(&context.store));
        let first = nodes.first().copied().unwrap_or_default();
        let cores = self.said(context, first, &Reckoned::default());
        reckon::foreseen(context, rates, nodes, cores.resources.cpus.unwrap_or(1))
    }

    /// What the job of a node asks for, with what was reckoned.
    fn said(&self, context: &Context, node: usize, reckoned: &Reckoned) -> Asked {
        let model = serve::model_of(context, node);
        let of_model = model.and_then(|model| context.experiment.models.get(&model));
        let of_model = of_model
            .map(|model| model.resources.clone())
            .unwrap_or_default();
        let task = task(context, node);
        self.settings.profile.asked(task, &of_model, reckoned)
    }

    /// What the job of nodes asks for, or each of so many tasks of it.
    fn asked(&self, context: &Context, nodes: &[usize], shards: u32) -> Asked {
        let first = nodes.first().copied().unwrap_or_default();
        let foreseen = self.foreseen(context, nodes);
        let usual = task(context, first).usual().time;
        let reckoned = reckon::reckoned(context, first, foreseen, shards, usual);
        self.said(context, first, &reckoned)
    }

    /// Into how many tasks of an array the answers of nodes are divided; 1 where they are not.
    fn shards(&self, context: &Context, nodes: &[usize]) -> u32 {
        let answers = |&node: &usize| {
            let kind = context.plan.nodes[node].kind;
            matches!(kind, Kind::Generate | Kind::Score | Kind::Judge)
        };
        match self.settings.profile.shard() {
            Some(each) if nodes.iter().all(answers) => {
                let most = self.settings.profile.max_jobs.unwrap_or(usize::MAX);
                let left = most.saturating_sub(self.running.load(Ordering::SeqCst));
                self.foreseen(context, nodes).shards(each, left.max(1))
            }
            _ => 1,
        }
    }

    async fn make(
        self: Arc<Self>,
        context: Arc<Context>,
        nodes: Vec<usize>,
        shards: u32,
    ) -> crate::context::Finished {
        let first = nodes.first().copied();
        let adopted = first.and_then(|node| Some((node, self.holder(&context, node)?)));
        // A job may have begun with more nodes than are left of it.
        let name = match &adopted {
            Some((_, job)) => job.name.clone(),
            None => session::name_of(&self.settings.run, &keys(&context, &nodes)),
        };
        let session = Session::new(
            Arc::clone(&self),
            Arc::clone(&context),
            (nodes, name),
            shards,
        );
        let followed = tokio::select! {
            followed = async {
                let live = match &adopted {
                    Some((node, job)) => self.take_over(&context, *node, job).await,
                    None => None,
                };
                follow(&self.desk, &session, live).await
            } => followed,
            () = context.cancel.wait() => return session.interrupted(),
        };
        session.finish(followed).await
    }

    /// The job of that name, which the queue may only be about to list: the program that submits it outlives a driver that is killed.
    async fn on_its_way(&self, name: &str) -> Option<JobId> {
        match self.desk.find(name).await {
            Some(id) => Some(id),
            None => {
                tokio::time::sleep(self.desk.pace().grace).await;
                self.desk.find(name).await
            }
        }
    }

    /// What is known of a job that an earlier driver submitted, or was about to.
    async fn take_over(&self, context: &Context, node: usize, job: &RecordedJob) -> Option<Live> {
        self.open().retain(|_, other| other.name != job.name);
        let id = match job.submitted.as_ref() {
            Some(submitted) => submitted.id.clone(),
            // It died between its decision and the queue's answer.
            None => self.on_its_way(&job.try_name()).await?,
        };
        let text = format!("job {id} of an earlier run is taken over");
        context.note(&context.plan.nodes[node].id, text);
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

/// Counts a job, or the tasks of one, while it lives.
struct Counted(Arc<Shared>, usize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(self.1, Ordering::SeqCst);
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
        let context = Arc::clone(&here.context);
        let shards = self.shared.shards(&context, &nodes);
        self.shared
            .running
            .fetch_add(shards as usize, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.shared), shards as usize);
        Box::pin(async move { Arc::clone(&counted.0).make(context, nodes, shards).await })
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
