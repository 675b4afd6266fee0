//! The test of `cargo xtask prepare` that all engines share.

use super::Workspace;

/// Edits each source in turn. `prepare` names the change, demands `--yes`, and then finds nothing to do.
pub(crate) fn each_source_is_noticed(workspace: &Workspace) {
    const SAME: &str = "both databases are as the sources say: nothing is changed";
    workspace.xtask("prepare").ok().says(&["5 users"]);
    workspace.xtask("prepare").ok().says(&[SAME]);
    let files = [
        ("backend-flask-rs/db/schema.sql", "backend-flask-rs/db/schema.sql"),
        ("backend-flask-rs/db/seed.sql", "backend-flask-rs/db/seed.sql"),
        ("backend-flask-rs/ddb/conversation.txt", "the conversation"),
    ];
    let last_line =
        |file: &str| if file.ends_with(".sql") { "\n-- edited\n" } else { "Person 1: One more.\n" };
    for (file, name) in files {
        let text = std::fs::read_to_string(workspace.path(file)).unwrap();
        workspace.write(file, &(text.trim_end().to_owned() + "\n" + last_line(file)));
        let told = format!("not as the sources say: {name} has changed\n");
        workspace.xtask("prepare").fails(1).says(&[&told, "would lose 5 users, 4 activities"]);
        workspace.xtask("prepare --yes").ok().says(&[&told]);
        workspace.xtask("prepare").ok().says(&[SAME]);
    }
    let other = "prepare --person-2 amemiya --yes";
    workspace.xtask(other).ok().says(&["the choice of persons or time", "has changed"]);
    workspace.xtask("prepare --person-2 amemiya").ok().says(&[SAME]);
}
