//! The pages of answers that Shunt makes in a member's place, from files of the operator.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use shunt_config::model;
use thiserror::Error;

/// The largest page, in bytes. A page is held in memory and sent whole; a larger one is a site of its own.
pub const LARGEST: u64 = 64 << 10;

/// All pages of a virtual.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pages {
    by_status: Vec<(u16, Page)>,
    sorry: Option<Page>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub media: Media,
    pub content: Bytes,
}

/// What a page is, by the ending of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Html,
    Text,
    Json,
}

/// Why a file is no page, with the key that names it.
#[derive(Debug)]
pub struct Unfit {
    /// The status, or `sorry`.
    pub key: String,
    pub error: PageError,
}

#[derive(Debug, Error)]
pub enum PageError {
    #[error("{0}: {1}")]
    Read(String, io::Error),
    #[error("{0}: the page is larger than 64 KiB")]
    TooLarge(String),
    #[error("{0}: the page is not UTF-8 text")]
    NotText(String),
    #[error("{0}: the page has none of the endings .html, .htm, .txt and .json")]
    Ending(String),
}

impl PageError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            PageError::Read(..) => "make the file readable for Shunt",
            PageError::TooLarge(_) => "leave images and styles to another address, and name it in the page",
            PageError::NotText(_) => "save it as UTF-8",
            PageError::Ending(_) => "rename the file: its ending says which Content-Type clients get",
        }
    }
}

impl Pages {
    /// Reads all of them; keeps `before` if they are the same.
    ///
    /// # Errors
    /// Each file that is no page.
    pub fn load(settings: &model::Pages, before: Option<&Arc<Pages>>) -> Result<Arc<Pages>, Vec<Unfit>> {
        let mut unfit = Vec::new();
        let mut read = |key: String, path: &Path| {
            Page::read(path).map_err(|error| unfit.push(Unfit { key, error })).ok()
        };
        let by_status = settings
            .by_status
            .iter()
            .filter_map(|(status, path)| Some((*status, read(status.to_string(), path)?)))
            .collect();
        let sorry = settings.sorry.as_ref().and_then(|path| read("sorry".to_owned(), path));
        if !unfit.is_empty() {
            return Err(unfit);
        }
        let pages = Pages { by_status, sorry };
        Ok(match before {
            Some(before) if **before == pages => Arc::clone(before),
            _ => Arc::new(pages),
        })
    }

    /// The page for answers of this status.
    pub fn of(&self, status: u16) -> Option<&Page> {
        self.by_status.iter().find(|(of, _)| *of == status).map(|(_, page)| page)
    }

    /// The page where no member of a pool is up.
    pub fn sorry(&self) -> Option<&Page> {
        self.sorry.as_ref().or_else(|| self.of(503))
    }
}

impl Page {
    fn read(path: &Path) -> Result<Page, PageError> {
        let shown = || path.display().to_string();
        let media = match path.extension().and_then(OsStr::to_str) {
            Some("html" | "htm") => Media::Html,
            Some("txt") => Media::Text,
            Some("json") => Media::Json,
            _ => return Err(PageError::Ending(shown())),
        };
        let mut content = Vec::new();
        let file = File::open(path).map_err(|error| PageError::Read(shown(), error))?;
        let count = file.take(LARGEST + 1).read_to_end(&mut content);
        if count.map_err(|error| PageError::Read(shown(), error))? as u64 > LARGEST {
            return Err(PageError::TooLarge(shown()));
        }
        if std::str::from_utf8(&content).is_err() {
            return Err(PageError::NotText(shown()));
        }
        Ok(Page { media, content: content.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pages_are_found_by_status_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            fs::write(folder.path().join(name), content).unwrap();
            folder.path().join(name)
        };
        let mut settings = model::Pages {
            by_status: vec![(502, write("502.html", "<p>no</p>")), (503, write("503.txt", "busy"))],
            sorry: None,
        };
        let pages = Pages::load(&settings, None).unwrap();
        let content = |page: Option<&Page>| page.map(|it| (it.media, it.content.clone()));
        assert_eq!(content(pages.of(502)), Some((Media::Html, Bytes::from("<p>no</p>"))));
        assert_eq!(pages.of(504), None);
        assert_eq!(content(pages.sorry()), Some((Media::Text, Bytes::from("busy"))), "that of 503");
        assert!(Arc::ptr_eq(&Pages::load(&settings, Some(&pages)).unwrap(), &pages));
        settings.sorry = Some(write("sorry.json", "{}"));
        let next = Pages::load(&settings, Some(&pages)).unwrap();
        assert!(!Arc::ptr_eq(&next, &pages));
        assert_eq!(content(next.sorry()), Some((Media::Json, Bytes::from("{}"))));
    }

    #[test]
    fn every_file_that_is_no_page_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            fs::write(folder.path().join(name), content).unwrap();
            folder.path().join(name)
        };
        let fits = vec![b'x'; 64 << 10];
        let settings = model::Pages {
            by_status: vec![
                (400, write("400.html", &fits)),
                (403, write("403.html", &[&fits[..], b"x"].concat())),
                (500, write("500.txt", b"\xff")),
                (502, write("502", b"x")),
                (503, folder.path().join("none.html")),
            ],
            sorry: Some(write("sorry.php", b"x")),
        };
        let unfit = Pages::load(&settings, None).unwrap_err();
        let keys: Vec<_> = unfit.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["403", "500", "502", "503", "sorry"]);
        assert!(unfit[0].error.to_string().ends_with("403.html: the page is larger than 64 KiB"));
    }
}
