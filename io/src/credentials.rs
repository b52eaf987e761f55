//! The identity that systemd hands to a service (`LoadCredential=`).

use std::env;
use std::io::ErrorKind;
use std::path::Path;

use zeroize::Zeroizing;

use crate::files::{self, FileError, make_private_directory, write_atomic};
use crate::keys::{AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE};

/// Takes over the identity that systemd has handed to this service into a folder of its own, where its certificate can be renewed.
/// One that was taken over before stays as it is, until whoever administers the machine hands over another. Does nothing for a
/// program that gets none.
///
/// # Errors
/// When a file cannot be read or written.
pub fn take_over(directory: &Path) -> Result<(), FileError> {
    match env::var_os("CREDENTIALS_DIRECTORY") {
        Some(given) if !given.is_empty() => take_over_from(Path::new(&given), directory),
        Some(_) | None => Ok(()),
    }
}

fn take_over_from(given: &Path, directory: &Path) -> Result<(), FileError> {
    let Some(certificate) = read_if_there(&given.join(CERTIFICATE_FILE))? else {
        return Ok(());
    };
    let taken = directory.join(TAKEN_FILE);
    if read_if_there(&taken)?.as_ref() == Some(&certificate) {
        return Ok(());
    }
    make_private_directory(directory)?;
    for file in [AUTHORITY_FILE, KEY_FILE, CERTIFICATE_FILE] {
        let bytes = Zeroizing::new(files::read(&given.join(file))?);
        write_atomic(&directory.join(file), &bytes)?;
    }
    // Last, so that whoever is interrupted does it again.
    write_atomic(&taken, &certificate)?;
    tracing::info!(directory = %directory.display(), "identity is taken over from the system");
    Ok(())
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match files::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The certificate that was taken over last: the one in use may be a renewed one.
const TAKEN_FILE: &str = "enrolled.pem";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Folder {
            let name = format!("longrein-credentials-{}-{test}", std::process::id());
            let folder = Folder(env::temp_dir().join(name));
            fs::create_dir(&folder.0).unwrap();
            fs::create_dir(folder.given()).unwrap();
            folder
        }

        fn given(&self) -> PathBuf {
            self.0.join("given")
        }

        fn own(&self) -> PathBuf {
            self.0.join("own")
        }

        fn give(&self, what: &str) {
            for file in [AUTHORITY_FILE, KEY_FILE, CERTIFICATE_FILE] {
                fs::write(self.given().join(file), format!("{what} {file}")).unwrap();
            }
        }

        fn take_over(&self) -> Result<(), FileError> {
            take_over_from(&self.given(), &self.own())
        }

        fn has(&self, file: &str) -> String {
            fs::read_to_string(self.own().join(file)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_renewed_certificate_stays_until_another_identity_is_handed_over() {
        let folder = Folder::new("renewed");
        folder.give("first");
        folder.take_over().unwrap();
        assert_eq!(folder.has(KEY_FILE), "first node.key");
        fs::write(folder.own().join(CERTIFICATE_FILE), "renewed").unwrap();
        folder.take_over().unwrap();
        assert_eq!(folder.has(CERTIFICATE_FILE), "renewed");
        folder.give("second");
        folder.take_over().unwrap();
        for file in [AUTHORITY_FILE, KEY_FILE, CERTIFICATE_FILE] {
            assert_eq!(folder.has(file), format!("second {file}"));
        }
    }

    #[test]
    fn whoever_is_interrupted_takes_all_of_it_over_at_the_next_start() {
        let folder = Folder::new("interrupted");
        folder.give("first");
        fs::remove_file(folder.given().join(KEY_FILE)).unwrap();
        assert!(folder.take_over().is_err());
        folder.give("first");
        folder.take_over().unwrap();
        assert_eq!(folder.has(KEY_FILE), "first node.key");
        assert_eq!(folder.has(CERTIFICATE_FILE), "first node.pem");
    }

    #[test]
    fn without_credentials_nothing_is_made() {
        let folder = Folder::new("none");
        folder.take_over().unwrap();
        assert!(!folder.own().exists());
    }
}
