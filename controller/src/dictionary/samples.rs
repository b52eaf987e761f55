//! Messages out of files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longrein_proto::base::limits::MESSAGE_BYTES_MAX;

use super::mavlink;

/// How a file holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It is one.
    Whole,
    /// Each line is one.
    Lines,
    /// Each MAVLink frame is one.
    Mavlink,
}

/// Messages to train a dictionary on and to try it on.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Four of five: they alone make the dictionary.
    pub training: Vec<Vec<u8>>,
    /// The others, as long as the trial is to say what messages to come will take.
    pub held_out: Vec<Vec<u8>>,
}

impl Samples {
    /// Reads the messages of all files.
    ///
    /// # Errors
    /// [`SamplesError`]: which file is of no use, or what they all lack.
    pub fn read(files: &[PathBuf], shape: Shape) -> Result<Samples, SamplesError> {
        let mut samples = Vec::new();
        let mut bytes = 0;
        for file in files {
            let failed = |source| SamplesError::File {
                file: file.clone(),
                source,
            };
            // Before it is read: what is no sample may be of any size.
            bytes += fs::metadata(file).map_err(failed)?.len();
            if bytes > SAMPLES_BYTES_MAX {
                return Err(SamplesError::TooMuch);
            }
            let content = fs::read(file).map_err(failed)?;
            for (sample, number) in cut(&content, shape).into_iter().zip(1..) {
                if sample.len() > MESSAGE_BYTES_MAX {
                    return Err(too_long(file, shape, number, sample.len()));
                }
                samples.push(sample.to_vec());
            }
        }
        samples.retain(|sample| !sample.is_empty());
        if samples.len() < SAMPLES_MIN {
            return Err(SamplesError::TooFew(samples.len()));
        }
        Ok(Samples::split(samples))
    }

    /// Holds every fifth run of ten back: neighbours are too much alike to be told apart one by one.
    pub fn split(samples: Vec<Vec<u8>>) -> Samples {
        let mut split = Samples::default();
        for (sample, place) in samples.into_iter().zip(0..) {
            if place / 10 % 5 == 4 {
                split.held_out.push(sample);
            } else {
                split.training.push(sample);
            }
        }
        split
    }
}

fn cut(content: &[u8], shape: Shape) -> Vec<&[u8]> {
    match shape {
        Shape::Whole => vec![content],
        Shape::Lines => content
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .collect(),
        Shape::Mavlink => mavlink::frames(content),
    }
}

fn too_long(file: &Path, shape: Shape, number: usize, bytes: usize) -> SamplesError {
    let place = match shape {
        Shape::Whole => file.display().to_string(),
        Shape::Lines | Shape::Mavlink => format!("{}:{number}", file.display()),
    };
    SamplesError::TooLong { place, bytes }
}

/// Why files are no samples.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is too much of them.
    #[error("more than {} MiB of samples: give fewer files", SAMPLES_BYTES_MAX >> 20)]
    TooMuch,
    /// One is longer than any message.
    #[error(
        "{place}: {bytes} bytes, and a message has at most {MESSAGE_BYTES_MAX}: are these --lines or --mavlink?"
    )]
    TooLong {
        /// File, and line or frame.
        place: String,
        /// Its length.
        bytes: usize,
    },
    /// There are too few.
    #[error(
        "{0} samples, and a dictionary needs {SAMPLES_MIN} or more: a file is one sample, unless --lines or --mavlink is given"
    )]
    TooFew(usize),
}

/// Fewest samples: 20 are left to try the dictionary on. Thousands are better.
pub const SAMPLES_MIN: usize = 100;
/// Most bytes of all samples: training takes seconds then, and no more from more.
const SAMPLES_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("longrein-{}-samples-{test}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let file = self.0.join(name);
            fs::write(&file, content).unwrap();
            file
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_and_files_are_samples_and_every_fifth_run_is_held_out() {
        let folder = Folder::new("right");
        let line = |number: u32| format!("{{\"line\":{number}}}\r\n\n");
        let lines: String = (0..100).map(line).collect();
        let file = folder.file("lines", lines.as_bytes());
        let samples = Samples::read(&[file], Shape::Lines).unwrap();
        assert_eq!((samples.training.len(), samples.held_out.len()), (80, 20));
        assert_eq!(samples.held_out[0], b"{\"line\":40}");
        assert_eq!(samples.held_out[10], b"{\"line\":90}");

        let files: Vec<PathBuf> = (0..100)
            .map(|n| folder.file(&n.to_string(), &[b'\n'; 3]))
            .collect();
        let samples = Samples::read(&files, Shape::Whole).unwrap();
        assert_eq!(samples.training[0], b"\n\n\n");
    }

    #[test]
    fn files_that_are_no_samples_say_why() {
        let folder = Folder::new("wrong");
        let few = folder.file("few", b"1\n2\n3\n");
        let long = folder.file("long", &[b'x'; MESSAGE_BYTES_MAX + 1]);
        let missing = folder.0.join("missing");
        let said = |file: &PathBuf, shape| {
            let files = [file.clone()];
            Samples::read(&files, shape).unwrap_err().to_string()
        };
        assert!(said(&few, Shape::Lines).starts_with("3 samples, and a dictionary needs 100"));
        assert!(said(&few, Shape::Mavlink).starts_with("0 samples"));
        assert!(said(&long, Shape::Lines).contains("/long:1: 65537 bytes"));
        assert!(said(&long, Shape::Whole).contains("/long: 65537 bytes"));
        assert!(said(&missing, Shape::Whole).starts_with("cannot read "));
        let huge = fs::File::create(folder.0.join("huge")).unwrap();
        huge.set_len(SAMPLES_BYTES_MAX + 1).unwrap();
        assert_eq!(
            said(&folder.0.join("huge"), Shape::Whole),
            "more than 64 MiB of samples: give fewer files"
        );
    }
}
