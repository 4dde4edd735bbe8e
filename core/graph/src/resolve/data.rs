//! Datasets: files read, rows selected.

use std::path::Path;

use driftgauge_data::dataset::{Row, content, identify, read_table, shuffled, typed};
use driftgauge_data::hub::{HubSource, RepositoryKind};
use driftgauge_data::prompt::Templates;
use driftgauge_spec::files_of;
use driftgauge_spec::spec::{ColumnType, Dataset, DatasetFormat, DatasetSource, Join};
use driftgauge_store::Digest;
use indexmap::IndexMap;
use serde_json::json;

use super::Resolver;
use crate::resolved::ResolvedDataset;

impl Resolver<'_> {
    pub(super) fn datasets(&mut self) -> IndexMap<String, ResolvedDataset> {
        let mut out = IndexMap::new();
        for (id, dataset) in &self.spec.datasets {
            if !self.used.datasets.contains(id.get()) {
                continue;
            }
            if let Some(resolved) = self.dataset(dataset) {
                out.insert(id.get().clone(), resolved);
            }
        }
        out
    }

    fn dataset(&mut self, dataset: &Dataset) -> Option<ResolvedDataset> {
        let types: IndexMap<String, ColumnType> = dataset
            .types
            .iter()
            .map(|(column, of)| (column.get().clone(), *of))
            .collect();
        let mut selection = json!({
            "id": dataset.id,
            "types": types,
            "filter": dataset.filter,
            "shuffle": dataset.shuffle.as_ref().map(|shuffle| shuffle.seed.as_ref().map_or(*self.spec.seed, |seed| **seed)),
            "limit": dataset.limit,
        });
        let mut hub = None;
        let (format, path, file) = match dataset.source()? {
            DatasetSource::File { format, path } => (format, path, self.path(path)),
            DatasetSource::Hub { repository } => {
                let wanted = hub_dataset(dataset, repository);
                let split = dataset.split.as_ref().map_or("train", |split| split.get());
                selection["split"] = json!(split);
                match wanted.cached_dataset() {
                    Ok((format, file)) => {
                        let commit = wanted.snapshot().map(|snapshot| snapshot.commit);
                        hub = Some(HubSource { commit, ..wanted });
                        (format, repository, file)
                    }
                    Err(_) => {
                        return Some(ResolvedDataset {
                            source: format!("hub {repository} ({split})"),
                            hub: Some(wanted),
                            path: std::path::PathBuf::new(),
                            digest: None,
                            selection,
                            content: None,
                            rows_selected: None,
                            rows: Vec::new(),
                        });
                    }
                }
            }
        };
        selection["format"] = json!(format);
        if format == DatasetFormat::Parquet {
            // 2: times without a zone have none. No other format is read otherwise.
            selection["times"] = json!(2);
        }
        let mut digest = match self.digest_of_files(&file, format) {
            Ok(digest) => digest,
            Err(error) => {
                self.missing(path, &file, &error);
                return None;
            }
        };
        let joined = match &dataset.join {
            None => None,
            Some(join) => {
                let (partners, of_partners) = self.partners(join)?;
                selection["join"] = json!({"on": join.on, "digest": of_partners});
                digest = Digest::of(json!([digest, of_partners]).to_string().as_bytes());
                Some((partners, join))
            }
        };
        let read = read_table(&file, format).and_then(|mut table| {
            if let Some((partners, join)) = joined {
                let note =
                    driftgauge_data::dataset::join(&file, &mut table.rows, partners, &join.on)?;
                table.notes.extend(note);
            }
            typed(&file, &mut table.rows, &types)?;
            Ok(table)
        });
        let rows = match read {
            Ok(table) => {
                self.notes.extend(table.notes);
                table.rows
            }
            Err(error) => {
                self.refuse("bad-dataset", path.span(), error);
                return None;
            }
        };
        let rows = self.select(dataset, rows, path, &file)?;
        self.replaced(path, &rows);
        Some(ResolvedDataset {
            source: path.get().clone(),
            hub,
            path: file,
            digest: Some(digest),
            selection,
            content: Some(content(&rows)),
            rows_selected: Some(rows.len()),
            rows,
        })
    }

    /// The rows of what is joined, and the digest of its file.
    fn partners(&mut self, join: &Join) -> Option<(Vec<Row>, Digest)> {
        let (format, path) = join.files().first().copied()?;
        let file = self.path(path);
        let digest = match self.digest_of_files(&file, format) {
            Ok(digest) => digest,
            Err(error) => {
                self.missing(path, &file, &error);
                return None;
            }
        };
        match read_table(&file, format) {
            Ok(table) => {
                self.notes.extend(table.notes);
                Some((table.rows, digest))
            }
            Err(error) => {
                self.refuse("bad-dataset", path.span(), error);
                None
            }
        }
    }

    /// Digest of the files behind a path: that of the only one, or of all their digests in the order of their names.
    pub(super) fn digest_of_files(
        &self,
        path: &Path,
        format: DatasetFormat,
    ) -> std::io::Result<Digest> {
        let files = files_of(path, format)?;
        let digests = files.iter().map(|file| self.options.digests.of(file));
        let digests = digests.collect::<Result<Vec<_>, _>>()?;
        Ok(match digests.as_slice() {
            [only] => only.clone(),
            several => Digest::of(json!(several).to_string().as_bytes()),
        })
    }

    /// Filters, then shuffles, then limits.
    fn select(
        &mut self,
        dataset: &Dataset,
        rows: Vec<Row>,
        source: &driftgauge_spec::Text,
        file: &Path,
    ) -> Option<Vec<Row>> {
        let mut kept = rows;
        if let Some(filter) = &dataset.filter {
            let templates = Templates::default();
            if let Err(error) = templates.knows_names_of(filter, &kept) {
                let error = match kept.first() {
                    Some(row) => error.of_filter(row),
                    None => error.into(),
                };
                self.refuse("bad-template", filter.span(), error);
                return None;
            }
            let mut passed = Vec::new();
            for row in kept {
                match templates.holds(filter, &row) {
                    Ok(true) => passed.push(row),
                    Ok(false) => {}
                    Err(error) => {
                        self.refuse("bad-template", filter.span(), error.of_filter(&row));
                        return None;
                    }
                }
            }
            kept = passed;
        }
        // Ids have to differ among the rows that pass the filter.
        if let Some(column) = &dataset.id {
            kept = match identify(file, kept, column) {
                Ok(rows) => rows,
                Err(error) => {
                    self.refuse("bad-dataset", column.span(), error);
                    return None;
                }
            };
        }
        if let Some(shuffle) = &dataset.shuffle {
            kept = shuffled(
                kept,
                shuffle.seed.as_ref().map_or(*self.spec.seed, |seed| **seed),
            );
        }
        if let Some(limit) = &dataset.limit {
            self.beyond(limit.span(), **limit, kept.len());
            kept.truncate(**limit);
        }
        if kept.is_empty() {
            let span = dataset
                .filter
                .as_ref()
                .map_or(source.span(), driftgauge_spec::Located::span);
            self.problem(
                "empty-dataset",
                span,
                "no row of the dataset is left".to_owned(),
                Some("loosen `filter`, raise `limit`, or look into the file".to_owned()),
            );
            return None;
        }
        Some(kept)
    }
}

fn hub_dataset(dataset: &Dataset, repository: &driftgauge_spec::Text) -> HubSource {
    let text = |text: &Option<driftgauge_spec::Text>| text.as_ref().map(|text| text.get().clone());
    HubSource {
        kind: RepositoryKind::Dataset,
        repository: repository.get().clone(),
        revision: text(&dataset.revision).unwrap_or_else(|| "main".to_owned()),
        split: text(&dataset.split),
        file: text(&dataset.file),
        commit: None,
    }
}
