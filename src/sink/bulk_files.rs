//! The files of the vendor's bulk-import tool (`@stigg/bulk-import`), written record by record.
//!
//! Source of the files' forms: the tool's readme (1.9.1) and the import guide, 2026; `docs/sources.md` has them.

mod record;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::batch::Batch;
use crate::entity::Entity;

/// One of the tool's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkFile {
    /// Customers.
    Customers,
    /// Subscriptions with nothing but what the current file of free plans has.
    FreeSubscriptions,
    /// Subscriptions with what the file of paid plans has (1.x): a billing period, quantities.
    Subscriptions,
    /// Subscriptions with entitlements, add-ons, or another field of the API.
    CustomSubscriptions,
    /// Current totals of usage.
    Usage,
}

impl BulkFile {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers.json",
            Self::FreeSubscriptions => "free-subscriptions.json",
            Self::Subscriptions => "subscriptions.json",
            Self::CustomSubscriptions => "custom-subscriptions.json",
            Self::Usage => "usage.json",
        }
    }

    /// The files that an entity's records go into; none where the tool has no such thing.
    pub fn of(entity: Entity) -> &'static [Self] {
        match entity {
            Entity::Customer => &[Self::Customers],
            Entity::Subscription => &[Self::FreeSubscriptions, Self::Subscriptions, Self::CustomSubscriptions],
            Entity::Usage => &[Self::Usage],
            Entity::Event => &[],
        }
    }

    /// The array in it.
    fn array(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::FreeSubscriptions | Self::Subscriptions | Self::CustomSubscriptions => "subscriptions",
            Self::Usage => "usages",
        }
    }
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Which.
    pub file: BulkFile,
    /// Where it is.
    pub path: PathBuf,
    /// How many records it holds.
    pub records: u64,
    /// The fields in it that no document of the tool has, with how many records have each. They have the API's names,
    /// and `stigg-import bulk` reads them.
    pub undocumented: BTreeMap<&'static str, u64>,
}

/// The files while they are written: temporary ones in their folder, only for their owner, which are renamed by
/// [`BulkFiles::finish`] and gone when this is dropped before. Memory does not grow with the records.
#[derive(Debug)]
pub struct BulkFiles {
    folder: PathBuf,
    open: Mutex<BTreeMap<BulkFile, Open>>,
}

#[derive(Debug)]
struct Open {
    file: BufWriter<NamedTempFile>,
    records: u64,
    undocumented: BTreeMap<&'static str, u64>,
}

impl BulkFiles {
    /// Begins the files of these entities in `folder`, which is made where it is missing. What is there under the same
    /// names stays until [`BulkFiles::finish`].
    ///
    /// # Errors
    ///
    /// The folder or a file in it can't be made.
    pub fn create(folder: &Path, entities: impl IntoIterator<Item = Entity>) -> io::Result<Self> {
        make_folder(folder)?;
        let mut open = BTreeMap::new();
        for file in entities.into_iter().flat_map(BulkFile::of) {
            if open.contains_key(file) {
                continue;
            }
            // Such files are made with mode 0600.
            let temporary = tempfile::Builder::new().prefix(&format!(".{}-", file.name())).tempfile_in(folder)?;
            let mut writer = BufWriter::new(temporary);
            write!(writer, "{{\"{}\":[", file.array())?;
            open.insert(*file, Open { file: writer, records: 0, undocumented: BTreeMap::new() });
        }
        Ok(Self { folder: folder.to_owned(), open: Mutex::new(open) })
    }

    /// Appends the records of a batch, each to its file.
    ///
    /// # Errors
    ///
    /// A file can't be written: the disk is full. The files can't be finished then.
    pub fn write(&self, batch: &Batch) -> io::Result<()> {
        let mut open = self.held();
        for item in &batch.items {
            let written = record::of(batch.entity, batch.json_of(item))?;
            let Some(open) = open.get_mut(&written.file) else {
                return Err(io::Error::other(format!("{} was not begun", written.file.name())));
            };
            open.push(&written)?;
        }
        Ok(())
    }

    /// Closes the files and gives them their names, in place of what had them.
    ///
    /// # Errors
    ///
    /// A file can't be written or renamed. Those before it, in the order of [`BulkFile`], are in place.
    pub fn finish(self) -> io::Result<Vec<WrittenFile>> {
        let open = self.open.into_inner().unwrap_or_else(PoisonError::into_inner);
        // All are whole before the first is renamed.
        let closed: Vec<_> =
            open.into_iter().map(|(file, open)| Ok((file, open.close()?))).collect::<io::Result<_>>()?;
        let place = |(file, (temporary, records, undocumented)): (BulkFile, Closed)| {
            let path = self.folder.join(file.name());
            temporary.persist(&path).map_err(|error| error.error)?;
            Ok(WrittenFile { file, path, records, undocumented })
        };
        let written: io::Result<Vec<WrittenFile>> = closed.into_iter().map(place).collect();
        // The new names are on disk, too.
        File::open(&self.folder)?.sync_all()?;
        written
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<BulkFile, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Closed = (NamedTempFile, u64, BTreeMap<&'static str, u64>);

impl Open {
    fn push(&mut self, record: &record::Written<'_>) -> io::Result<()> {
        self.file.write_all(if self.records == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.file, record)?;
        self.records += 1;
        for field in record.undocumented() {
            *self.undocumented.entry(field).or_default() += 1;
        }
        Ok(())
    }

    fn close(mut self) -> io::Result<Closed> {
        self.file.write_all(b"\n]}\n")?;
        let temporary = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        temporary.as_file().sync_all()?;
        Ok((temporary, self.records, self.undocumented))
    }
}

/// Makes a folder that only its owner may enter; one that is there stays as it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::{Value, json};

    use super::*;
    use crate::sink::conformance::{batch, customer};

    fn read(folder: &Path, file: BulkFile) -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(file.name())).unwrap()).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn files_have_their_names_only_when_they_are_whole_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("customers.json"), "before").unwrap();

        let dropped = BulkFiles::create(&out, [Entity::Customer]).unwrap();
        dropped.write(&batch(Entity::Customer, &[customer("ada", "Ada")])).unwrap();
        drop(dropped);
        assert_eq!(names(&out), ["customers.json"], "nothing is left behind");
        assert_eq!(std::fs::read_to_string(out.join("customers.json")).unwrap(), "before");

        let files = BulkFiles::create(&out, [Entity::Customer, Entity::Usage, Entity::Customer]).unwrap();
        files.write(&batch(Entity::Customer, &[customer("ada", "Ada"), customer("bob", "Bob")])).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("customers.json")).unwrap(), "before");
        let written = files.finish().unwrap();
        assert_eq!(written.iter().map(|file| file.records).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(names(&out), ["customers.json", "usage.json"]);
        let ids: Vec<_> = read(&out, BulkFile::Customers)["customers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|customer| customer["customerId"].clone())
            .collect();
        assert_eq!(ids, ["ada", "bob"]);
        assert_eq!(read(&out, BulkFile::Usage), json!({ "usages": [] }));
        let mode = std::fs::metadata(out.join("customers.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
