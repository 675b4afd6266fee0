//! The test of `cargo xtask prepare` that all engines share.

use super::Workspace;

/// Edits each source in turn. `prepare` names the change, sets up anew, and then finds nothing to do. It demands
/// `--yes` if an item would be lost that no seed wrote.
pub(crate) fn each_source_is_noticed(workspace: &Workspace) {
    const SAME: &str = "schema, seed and conversation are those of the last set-up: nothing to do";
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
        let told = format!("the databases do not match the sources: {name} has changed\n");
        workspace.xtask("prepare").ok().says(&[
            &told,
            "in place of 5 users, 4 activities",
            "which seeds wrote",
        ]);
        workspace.xtask("prepare").ok().says(&[SAME]);
    }
    workspace.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    let told = ["the choice of persons or time", "has changed"];
    let refused = workspace.xtask("prepare --person-2 amemiya").fails(4);
    refused.says(&told).says(&[
        "would lose 5 users, 4 activities",
        "(saved first as snapshot before-prepare)",
        "stdin is not a terminal",
        "--yes",
    ]);
    workspace.xtask("prepare --person-2 amemiya --yes").ok().says(&told);
    workspace.xtask("prepare --person-2 amemiya").ok().says(&[SAME]);
}
