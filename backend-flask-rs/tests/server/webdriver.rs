//! A headless Chromium, driven through ChromeDriver by the W3C WebDriver protocol: JSON over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Request;
use crate::common::{free_port, wait_for};

/// How long the page may take to show something.
const BOUND: Duration = Duration::from_secs(20);

/// The name of an element reference in an answer.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Enter key for `types`.
pub(crate) const ENTER: &str = "\u{e007}";

/// ChromeDriver. Dropping it ends it and its browsers.
pub(crate) struct Driver {
    address: SocketAddr,
    child: Child,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={}", address.port()));
        driver.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = driver.spawn().expect("chromedriver (Debian: `apt install chromium-driver`)");
        wait_for("answer of chromedriver", BOUND, || TcpStream::connect(address).ok());
        Self { address, child }
    }

    /// A new browser that sends no requests of its own.
    pub(crate) fn browser(&self) -> Browser {
        let quiet = ["quic", "gpu", "background-networking", "component-update", "sync", "default-apps"];
        let mut flags: Vec<_> = quiet.iter().map(|what| format!("--disable-{what}")).collect();
        flags.extend(
            ["--headless", "--no-sandbox", "--no-first-run", "--window-size=1100,800"].map(str::to_owned),
        );
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": flags } });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = answered(Request::new(self.address, "POST", "/session").json(&wanted));
        let session = session.expect("a browser")["sessionId"].as_str().unwrap().to_owned();
        Browser { driver: self.address, session }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // If it were killed, its browsers would stay.
        let asked = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.set_read_timeout(Some(BOUND))?;
            write!(stream, "GET /shutdown HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)?;
            stream.read(&mut [0; 64])
        });
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// The result of a request to the driver, or the error's code and the answer.
fn answered(request: Request) -> Result<Value, (String, Value)> {
    let answer = request.send();
    let value = answer.json()["value"].take();
    match value["error"].as_str() {
        Some(code) if answer.status >= 400 => Err((code.to_owned(), value)),
        _ => Ok(value),
    }
}

/// A browser's only window.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
}

impl Browser {
    fn request(&self, method: &str, command: &str) -> Request {
        Request::new(self.driver, method, &format!("/session/{}/{command}", self.session))
    }

    #[track_caller]
    fn get(&self, command: &str) -> Value {
        answered(self.request("GET", command)).unwrap_or_else(|error| panic!("{command}: {error:?}"))
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        let answer = answered(self.request("POST", command).json(body));
        answer.unwrap_or_else(|error| panic!("{command}: {error:?}"))
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    #[track_caller]
    pub(crate) fn refresh(&self) {
        self.post("refresh", &json!({}));
    }

    #[track_caller]
    pub(crate) fn title(&self) -> String {
        self.get("title").as_str().unwrap().to_owned()
    }

    /// Waits for the first element that a CSS selector matches.
    #[track_caller]
    pub(crate) fn find(&self, css: &str) -> String {
        let selector = json!({ "using": "css selector", "value": css });
        wait_for(css, BOUND, || match answered(self.request("POST", "element").json(&selector)) {
            Ok(found) => Some(found[ELEMENT].as_str().unwrap().to_owned()),
            Err((code, _)) if code == "no such element" => None,
            Err(error) => panic!("{css}: {error:?}"),
        })
    }

    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.post(&format!("element/{}/click", self.find(css)), &json!({}));
    }

    /// Types into the element with the focus.
    #[track_caller]
    pub(crate) fn types(&self, text: &str) {
        let active = self.get("element/active");
        let active = active[ELEMENT].as_str().unwrap();
        self.post(&format!("element/{active}/value"), &json!({ "text": text }));
    }

    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let started = Instant::now();
        while self.run(&format!("return {expression}")) != true {
            let page = || self.run("return document.body.innerText");
            assert!(started.elapsed() < BOUND, "never: {expression}\n{}", page());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
