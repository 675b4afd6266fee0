//! The page's HTML. Everything that is not markup here is escaped.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};
use uuid::Uuid;

use crate::messages::{LONGEST_MESSAGE, Message, MessageGroup};
use crate::server::refusal::Refusal;
use crate::time;
use crate::users::User;

/// The number of colours of users' pictures. The stylesheet has a class for each.
const COLOURS: u8 = 8;

pub(super) struct Conversation {
    /// The other member.
    pub(super) with: User,
    /// `None` if it has not begun yet.
    pub(super) group: Option<Uuid>,
    /// Oldest first.
    pub(super) messages: Vec<Message>,
}

/// The whole page. `users` are offered to switch to or to write to. If it `is_home`, a narrow screen shows the list
/// instead of the conversation.
pub(super) fn page(
    user: &User,
    users: &[User],
    list: &[MessageGroup],
    open: Option<&Conversation>,
    is_home: bool,
) -> Markup {
    let title = open.map_or("Messages", |open| &open.with.display_name);
    let class = if is_home { "app home" } else { "app" };
    document(
        &format!("{title} · Cruddur"),
        &html! {
            a.skip href="#message" { "Skip to the message box" }
            div class=(class) {
                aside {
                    header.bar {
                        a.brand href="/" { "Cruddur" }
                        (switch(user, users))
                    }
                    nav #groups aria-label="Conversations" {
                        (groups(list, open.and_then(|open| open.group)))
                    }
                    (others(user, users, list))
                }
                main {
                    @match open {
                        Some(open) => (conversation(open, user)),
                        None => p.nothing { "No conversation yet. Choose somebody to write to." },
                    }
                }
            }
        },
    )
}

/// Asks for the user of the page.
pub(super) fn who_are_you(users: &[User]) -> Markup {
    document(
        "Cruddur",
        &html! {
            div.card {
                h1.brand { "Cruddur" }
                p { "Who are you? On your own machine you may be anybody." }
                @if users.is_empty() {
                    p { "Nobody yet: " code { "cargo xtask ddb-setup" } " makes some." }
                }
                @for user in users {
                    form method="post" action="/user" {
                        button.person name="handle" value=(user.handle) {
                            (picture(user.uuid, &user.display_name))
                            span.names { b { (user.display_name) } small { "@" (user.handle) } }
                        }
                    }
                }
            }
        },
    )
}

pub(super) fn refusal(refusal: &Refusal) -> Markup {
    document(
        "Cruddur",
        &html! {
            div.card {
                h1.brand { "Cruddur" }
                p { b { (refusal.status.as_u16()) } " " (refusal.field) ": " (refusal.error) "." }
                p { a href="/" { "Back to the messages" } }
            }
        },
    )
}

/// The list of groups, newest first.
pub(super) fn groups(groups: &[MessageGroup], open: Option<Uuid>) -> Markup {
    html! {
        @for group in groups {
            @let is_open = open == Some(group.message_group_uuid);
            a.group href={ "/messages/" (group.message_group_uuid) } aria-current=[is_open.then_some("page")] {
                (picture(group.other.uuid, &group.other.display_name))
                span.names {
                    b { (group.other.display_name) }
                    (moment(group.last_message_at))
                    small { (group.message) }
                }
            }
        }
    }
}

/// Messages, oldest first, from the view of `user`.
pub(super) fn messages(messages: &[Message], user: Uuid) -> Markup {
    html! {
        @for message in messages {
            @let class = if message.sender.uuid == user { "message own" } else { "message" };
            li class=(class) id={ "m-" (message.message_uuid) } data-at=(time::format(message.created_at)) {
                @if message.sender.uuid != user { (picture(message.sender.uuid, &message.sender.display_name)) }
                div.bubble {
                    span.hidden { (message.sender.display_name) ": " }
                    p { (message.message) }
                    (moment(message.created_at))
                }
            }
        }
    }
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/page.css";
                // An empty icon, so that the browser does not request one.
                link rel="icon" href="data:,";
                script src="/page.js" defer {}
            }
            body { (body) }
        }
    }
}

fn switch(user: &User, users: &[User]) -> Markup {
    html! {
        form #switch method="post" action="/user" {
            label.hidden for="user" { "You are" }
            select #user name="handle" {
                @if !users.iter().any(|other| other.uuid == user.uuid) {
                    option value=(user.handle) selected { (user.display_name) }
                }
                @for other in users {
                    option value=(other.handle) selected[other.uuid == user.uuid] { (other.display_name) }
                }
            }
            noscript { button { "Switch" } }
        }
    }
}

/// The users with whom the page's user has no group.
fn others(user: &User, users: &[User], groups: &[MessageGroup]) -> Markup {
    let is_known = |other: &User| groups.iter().any(|group| group.other.uuid == other.uuid);
    let others = users.iter().filter(|other| other.uuid != user.uuid && !is_known(other));
    let others: Vec<_> = others.collect();
    html! {
        @if !others.is_empty() {
            details.others open[groups.is_empty()] {
                summary { "New conversation" }
                @for user in others {
                    a.group href={ "/to/" (user.handle) } {
                        (picture(user.uuid, &user.display_name))
                        span.names { b { (user.display_name) } small { "@" (user.handle) } }
                    }
                }
            }
        }
    }
}

fn conversation(open: &Conversation, user: &User) -> Markup {
    let User { uuid, display_name, handle } = &open.with;
    html! {
        header.bar {
            a.back href="/" aria-label="All conversations" { "‹" }
            (picture(*uuid, display_name))
            h1.names { b { (display_name) } small { "@" (handle) } }
        }
        ol #messages role="log" aria-live="polite" aria-label="Messages" tabindex="0"
            data-group=[open.group] {
            (messages(&open.messages, user.uuid))
        }
        form #write method="post" action="/messages" {
            @match open.group {
                Some(group) => input type="hidden" name="message_group_uuid" value=(group);,
                None => input type="hidden" name="handle" value=(handle);,
            }
            label.hidden for="message" { "Message to " (display_name) }
            textarea #message name="message" rows="1" required autocomplete="off"
                placeholder={ "Message to " (display_name) } data-limit=(LONGEST_MESSAGE) {}
            button aria-label="Send" { "Send" }
            p #problem role="alert" {}
        }
    }
}

/// A round picture with the user's initials. A user always has the same colour.
fn picture(uuid: Uuid, display_name: &str) -> Markup {
    let initials = display_name.split_whitespace().filter_map(|word| word.chars().next());
    let initials: String = initials.take(2).flat_map(char::to_uppercase).collect();
    let colour = uuid.as_bytes()[15] % COLOURS;
    html! { span class={ "picture c" (colour) } aria-hidden="true" { (initials) } }
}

/// A time. The script converts it to the browser's time zone.
fn moment(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(time::format(at)) { (at.format("%Y-%m-%d %H:%M UTC")) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_users_stays_text() {
        let evil = "<script>alert(1)</script>\"'&";
        let user = User { uuid: Uuid::nil(), display_name: evil.to_owned(), handle: evil.to_owned() };
        let message = Message {
            message_group_uuid: Uuid::nil(),
            created_at: DateTime::UNIX_EPOCH,
            message_uuid: Uuid::nil(),
            message: evil.to_owned(),
            sender: User { uuid: Uuid::max(), ..user.clone() },
        };
        let open = Conversation { with: user.clone(), group: None, messages: vec![message] };
        let users = [user.clone(), User { uuid: Uuid::max(), ..user.clone() }];
        let whole = page(&user, &users, &[], Some(&open), false);
        let refused = Refusal::absent("handle", evil);
        for text in [whole, who_are_you(&users), refusal(&refused)].map(Markup::into_string) {
            assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "{text}");
            assert!(!text.contains("<script>alert"), "{text}");
        }
    }
}
