//! The page in a real browser.

use std::ops::Deref;

use serde_json::json;

use crate::webdriver::{Browser, Driver, ENTER};
use crate::world::{App, ONE, TWO, World};

/// The page, open in its own browser.
struct Page(Browser);

impl Page {
    #[track_caller]
    fn open(driver: &Driver, url: &str, handle: &str) -> Self {
        let page = Self(driver.browser());
        page.0.open(url);
        page.click(&format!("button[value={handle}]"));
        page.find("#messages .message");
        page
    }

    /// The texts of the messages, oldest first.
    #[track_caller]
    fn messages(&self) -> Vec<String> {
        let texts = self.run("return [...document.querySelectorAll('.bubble p')].map((p) => p.textContent)");
        serde_json::from_value(texts).unwrap()
    }

    /// Waits until this is the last message.
    #[track_caller]
    fn until_last(&self, text: &str) {
        let last =
            format!("[...document.querySelectorAll('.bubble p')].at(-1)?.textContent === {}", json!(text));
        self.until(&last);
    }
}

impl Deref for Page {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.0
    }
}

/// Runs a test with a WebDriver and the address of the world's page.
fn drive(test: impl FnOnce(&World, &Driver, &str)) {
    let world = World::new();
    let driver = Driver::start();
    test(&world, &driver, &format!("http://{}/", world.app.0));
}

#[test]
#[ignore = "needs Chromium"]
fn a_message_appears_for_the_other_user() {
    drive(|world, driver, url| {
        let one = Page::open(driver, url, ONE);
        let two = Page::open(driver, url, TWO);
        let path = format!("/api/messages/{}", backend_flask::messages::SEED_GROUP);
        let seeded = world.app.get(&path).from(ONE).send().ok();
        let last = seeded.as_array().unwrap().last().unwrap()["message"].as_str().unwrap().to_owned();
        for page in [&one, &two] {
            page.until_last(&last);
        }
        // The box has the focus, so the keyboard is enough.
        one.types("Do you see this?");
        one.types(ENTER);
        for page in [&one, &two] {
            page.until_last("Do you see this?");
            page.until("document.querySelector('.group small').textContent === 'Do you see this?'");
        }
        assert_eq!(one.run("return document.querySelector('#message').value"), "");
        assert_eq!(one.run("return document.querySelectorAll('.own:last-child').length"), 1);
        assert_eq!(two.run("return document.querySelectorAll('.own:last-child').length"), 0);

        two.types("Yes, at once.");
        two.click("#write button");
        one.until_last("Yes, at once.");
        assert_eq!(world.items("MSG#").len(), 138);
    });
}

#[test]
#[ignore = "needs Chromium"]
fn text_of_a_user_is_never_run() {
    drive(|world, driver, url| {
        let two = Page::open(driver, url, TWO);
        let evil =
            "</p><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">";
        assert_eq!(world.app.write(ONE, evil).status, 201);
        two.until_last(evil);
        two.refresh();
        two.until_last(evil);
        assert_eq!(two.run("return document.querySelectorAll('img, main script').length"), 0);
        assert_ne!(two.title(), "run");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn older_messages_are_loaded_on_scroll() {
    drive(|world, driver, url| {
        let one = Page::open(driver, url, ONE);
        let first = one.messages();
        assert_eq!(first.len(), 40);
        let is_at_end = "const m = document.querySelector('#messages'); return m.scrollHeight - m.scrollTop - m.clientHeight < 2";
        assert_eq!(one.run(is_at_end), true, "the newest is in view");
        let all = world.items("MSG#").len();
        for shown in [80, 120, all] {
            one.run("document.querySelector('#messages').scrollTop = 0");
            one.until(&format!("document.querySelectorAll('.message').length === {shown}"));
        }
        let shown = one.messages();
        assert_eq!(shown[all - 40..], first);
        let times = "return [...document.querySelectorAll('.message')].map((m) => m.dataset.at)";
        let times: Vec<String> = serde_json::from_value(one.run(times)).unwrap();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn users_are_switched_and_conversations_begun() {
    drive(|world, driver, url| {
        let one = Page::open(driver, url, ONE);
        let zone = one.run("return document.querySelector('.bubble time').textContent");
        assert!(!zone.as_str().unwrap().contains("UTC"), "{zone}");
        one.click(".others summary");
        one.click(".others a[href='/to/teapot']");
        one.find("#write input[name=handle][value=teapot]");
        one.types("Short and stout?");
        one.types(ENTER);
        one.until_last("Short and stout?");
        one.until("location.pathname.startsWith('/messages/')");
        one.click("select#user option[value=teapot]");
        one.until("document.querySelector('#user')?.value === 'teapot' && document.querySelector('h1.names b')?.textContent === 'Andrew Brown'");
        one.until_last("Short and stout?");
        assert_eq!(world.items("GRP#").len(), 4);
    });
}

#[test]
#[ignore = "needs Chromium"]
fn messages_missed_during_a_restart_are_loaded() {
    drive(|world, driver, _| {
        let app = world.another();
        let address = app.0;
        let one = Page::open(driver, &format!("http://{address}/"), ONE);
        drop(app);
        one.until("document.body.classList.contains('alone')");
        assert_eq!(world.app.write(TWO, "While you were away").status, 201);
        let mut settings = world.settings();
        settings.retain(|(name, _)| *name != "BACKEND_ADDRESS");
        settings.push(("BACKEND_ADDRESS", address.to_string()));
        let _back = App::start(&settings);
        one.until_last("While you were away");
        one.until("!document.body.classList.contains('alone')");
    });
}
