//! A file that keeps how far topics were read.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::{fs, io};

use longrein_io::exit::Exit;
use longrein_proto::base::Name;

use crate::cli::failure::Failure;
use crate::hub::{Cursor, CursorText};

/// A file that keeps how far topics were read: one line for each, `TOPIC EPOCH:NUMBER`. It is replaced as a whole, so that it is one at
/// any moment.
#[derive(Debug)]
pub struct CursorFile {
    path: PathBuf,
    cursors: BTreeMap<Name, Cursor>,
}

impl CursorFile {
    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn open(path: PathBuf) -> Result<CursorFile, Failure> {
        let wrong = |what: String| {
            let line = format!("--cursor-file {}: {what}", path.display());
            Failure::new(Exit::Usage, line)
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let line = |line: &str| {
            let (topic, cursor) = line.split_once(' ')?;
            let cursor: CursorText = cursor.parse().ok()?;
            Some((topic.parse().ok()?, cursor.0))
        };
        let cursors = text.lines().map(line).collect::<Option<_>>();
        match cursors {
            Some(cursors) => Ok(CursorFile { path, cursors }),
            None => Err(wrong("it keeps no cursors".to_string())),
        }
    }

    /// How far a topic was read.
    pub fn cursor(&self, topic: &Name) -> Option<Cursor> {
        self.cursors.get(topic).copied()
    }

    /// A topic was read so far.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&mut self, topic: &Name, cursor: Cursor) -> io::Result<()> {
        self.cursors.insert(topic.clone(), cursor);
        let lines = self.cursors.iter();
        let text: String = lines
            .map(|(topic, cursor)| format!("{topic} {}\n", CursorText(*cursor)))
            .collect();
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        fs::write(&name, text)?;
        fs::rename(&name, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest_place_of_each_topic_and_refuses_what_it_is_not() {
        let name = format!("longrein-cursor-file-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = CursorFile::open(path.clone()).unwrap();
        let (talk, news): (Name, Name) = ("talk".parse().unwrap(), "news".parse().unwrap());
        assert_eq!(file.cursor(&talk), None);
        let cursor = |number| Cursor { epoch: 7, number };
        file.keep(&talk, cursor(1)).unwrap();
        file.keep(&news, cursor(5)).unwrap();
        file.keep(&talk, cursor(2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "news 7:5\ntalk 7:2\n");
        let file = CursorFile::open(path.clone()).unwrap();
        assert_eq!(file.cursor(&talk), Some(cursor(2)));
        fs::write(&path, "something else\n").unwrap();
        let failure = CursorFile::open(path.clone()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        fs::remove_file(path).unwrap();
    }
}
