//! The page in a real browser: headless Chromium, driven over WebDriver.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::key::Key;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::common::{free_port, wait_for};
use crate::world::{App, ONE, TWO, World};

/// How long the page may take to show what it should.
const BOUND: Duration = Duration::from_secs(20);

/// ChromeDriver; it ends its browsers and itself when it is dropped.
struct Driver {
    port: u16,
    child: Child,
}

impl Driver {
    fn start() -> Self {
        let port = free_port();
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = driver.spawn().expect("chromedriver (Debian: `apt install chromium-driver`)");
        wait_for("answer of chromedriver", BOUND, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, child }
    }

    /// A browser of its own, with the page open as `handle`. It asks nothing of the network.
    async fn browser(&self, page: &str, handle: &str) -> Browser {
        let quiet = ["quic", "gpu", "background-networking", "component-update", "sync", "default-apps"];
        let mut flags: Vec<_> = quiet.iter().map(|what| format!("--disable-{what}")).collect();
        flags.extend(
            ["--headless", "--no-sandbox", "--no-first-run", "--window-size=1100,800"].map(str::to_owned),
        );
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": { "args": flags } });
        let wanted: Capabilities = serde_json::from_value(wanted).unwrap();
        let url = format!("http://127.0.0.1:{}", self.port);
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&url).await;
        let browser = Browser(client.unwrap());
        browser.0.goto(page).await.unwrap();
        browser.click(&format!("button[value={handle}]")).await;
        browser.find("#messages .message").await;
        browser
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Killed at once, it would leave its browsers behind.
        let asked = std::net::TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(BOUND))?;
            write!(stream, "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port)?;
            stream.read(&mut [0; 64])
        });
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

struct Browser(Client);

impl Browser {
    async fn find(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.0.wait().at_most(BOUND).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// What a script returns.
    async fn run(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script returns true.
    async fn until(&self, script: &str) {
        let started = std::time::Instant::now();
        while self.run(&format!("return {script}")).await != true {
            assert!(started.elapsed() < BOUND, "never: {script}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn text(&self) -> String {
        self.find("body").await.text().await.unwrap()
    }

    /// Types into whatever has the focus.
    async fn types(&self, text: &str) {
        self.0.active_element().await.unwrap().send_keys(text).await.unwrap();
    }

    /// The texts of the messages, oldest first.
    async fn messages(&self) -> Vec<String> {
        let texts =
            self.run("return [...document.querySelectorAll('.bubble p')].map((p) => p.textContent)").await;
        serde_json::from_value(texts).unwrap()
    }

    /// Waits until the last message is this one.
    async fn until_last(&self, text: &str) {
        let last =
            format!("[...document.querySelectorAll('.bubble p')].at(-1)?.textContent === {}", json!(text));
        self.until(&last).await;
    }
}

/// Runs a test in a browser.
fn drive(test: impl AsyncFnOnce(&World, &Driver, &str)) {
    let world = World::new();
    let driver = Driver::start();
    let page = format!("http://{}/", world.app.0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(&world, &driver, &page));
}

#[test]
#[ignore = "needs Chromium"]
fn what_one_writes_appears_for_the_other() {
    drive(async |world, driver, page| {
        let one = driver.browser(page, ONE).await;
        let two = driver.browser(page, TWO).await;
        let path = format!("/api/messages/{}", backend_flask::messages::SEED_GROUP);
        let seeded = world.app.get(&path).from(ONE).send().ok();
        let last = seeded.as_array().unwrap().last().unwrap()["message"].as_str().unwrap().to_owned();
        for browser in [&one, &two] {
            browser.until_last(&last).await;
        }
        // The box has the focus: nothing but the keyboard is needed.
        one.types("Do you see this?").await;
        one.types(&char::from(Key::Enter).to_string()).await;
        for browser in [&one, &two] {
            browser.until_last("Do you see this?").await;
            browser.until("document.querySelector('.group small').textContent === 'Do you see this?'").await;
        }
        assert_eq!(one.run("return document.querySelector('#message').value").await, "");
        assert_eq!(one.run("return document.querySelectorAll('.own:last-child').length").await, 1);
        assert_eq!(two.run("return document.querySelectorAll('.own:last-child').length").await, 0);

        two.types("Yes, at once.").await;
        two.click("#write button").await;
        one.until_last("Yes, at once.").await;
        assert_eq!(world.items("MSG#").len(), 138);
    });
}

#[test]
#[ignore = "needs Chromium"]
fn what_a_user_writes_is_never_run() {
    drive(async |world, driver, page| {
        let two = driver.browser(page, TWO).await;
        let evil =
            "</p><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">";
        assert_eq!(world.app.write(ONE, evil).status, 201);
        two.until_last(evil).await;
        two.0.refresh().await.unwrap();
        two.until_last(evil).await;
        assert_eq!(two.run("return document.querySelectorAll('img, main script').length").await, 0);
        assert_ne!(two.0.title().await.unwrap(), "run");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn older_messages_are_loaded_on_scroll() {
    drive(async |world, driver, page| {
        let one = driver.browser(page, ONE).await;
        let first = one.messages().await;
        assert_eq!(first.len(), 40);
        let is_at_end = "const m = document.querySelector('#messages'); return m.scrollHeight - m.scrollTop - m.clientHeight < 2";
        assert_eq!(one.run(is_at_end).await, true, "the newest is in view");
        let all = world.items("MSG#").len();
        for shown in [80, 120, all] {
            one.run("document.querySelector('#messages').scrollTop = 0").await;
            one.until(&format!("document.querySelectorAll('.message').length === {shown}")).await;
        }
        let shown = one.messages().await;
        assert_eq!(shown[all - 40..], first);
        let times = "return [...document.querySelectorAll('.message')].map((m) => m.dataset.at)";
        let times: Vec<String> = serde_json::from_value(one.run(times).await).unwrap();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn users_are_switched_and_conversations_begun() {
    drive(async |world, driver, page| {
        let one = driver.browser(page, ONE).await;
        let zone = one.run("return document.querySelector('.bubble time').textContent").await;
        assert!(!zone.as_str().unwrap().contains("UTC"), "{zone}");
        one.click(".others summary").await;
        one.click(".others a[href='/to/teapot']").await;
        one.find("#write input[name=handle][value=teapot]").await;
        one.types("Short and stout?").await;
        one.types(&char::from(Key::Enter).to_string()).await;
        one.until_last("Short and stout?").await;
        one.until("location.pathname.startsWith('/messages/')").await;
        one.find("select#user").await.select_by_value("teapot").await.unwrap();
        one.until("document.querySelector('#user')?.value === 'teapot' && document.querySelector('h1.names b')?.textContent === 'Andrew Brown'").await;
        one.until_last("Short and stout?").await;
        assert_eq!(world.items("GRP#").len(), 4);
    });
}

#[test]
#[ignore = "needs Chromium"]
fn what_was_missed_while_the_server_was_away_is_caught_up_with() {
    drive(async |world, driver, _| {
        let app = world.another();
        let address = app.0;
        let one = driver.browser(&format!("http://{address}/"), ONE).await;
        drop(app);
        one.until("document.body.classList.contains('alone')").await;
        assert_eq!(world.app.write(TWO, "While you were away").status, 201);
        let mut settings = world.settings();
        settings.retain(|(name, _)| *name != "BACKEND_ADDRESS");
        settings.push(("BACKEND_ADDRESS", address.to_string()));
        let _back = App::start(&settings);
        one.until_last("While you were away").await;
        one.until("!document.body.classList.contains('alone')").await;
    });
}
