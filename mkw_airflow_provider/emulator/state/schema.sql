-- The state of an emulated MetaKraftwerk. Times are milliseconds since the epoch; flags are 0 or 1; lists are JSON arrays.

CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, deleted INTEGER NOT NULL, disabled INTEGER NOT NULL
);

-- A row means "may view"; write_builds means "may start builds" too.
CREATE TABLE IF NOT EXISTS memberships (
    user_id INTEGER NOT NULL REFERENCES users, project_id INTEGER NOT NULL REFERENCES projects,
    write_builds INTEGER NOT NULL, PRIMARY KEY (user_id, project_id)
);

CREATE TABLE IF NOT EXISTS release_groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT);

CREATE TABLE IF NOT EXISTS releases (
    id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL REFERENCES release_groups, name TEXT NOT NULL, description TEXT,
    start_date TEXT, end_date TEXT, closed INTEGER NOT NULL, deleted INTEGER NOT NULL,
    hotfix_of_id INTEGER, prev_release_id INTEGER
);

CREATE TABLE IF NOT EXISTS patterns (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT, type TEXT NOT NULL, vers_no TEXT NOT NULL,
    status TEXT NOT NULL, active INTEGER NOT NULL, deleted INTEGER NOT NULL, disabled INTEGER NOT NULL,
    release_group_id INTEGER NOT NULL REFERENCES release_groups, upload_id INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS instance_folders (
    id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects,
    pattern_id INTEGER NOT NULL REFERENCES patterns, parent_folder_id INTEGER, name TEXT NOT NULL, path TEXT NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0, upload_disabled INTEGER NOT NULL DEFAULT 0,
    insert_disabled INTEGER NOT NULL DEFAULT 0, build_disabled INTEGER NOT NULL DEFAULT 0,
    edit_disabled INTEGER NOT NULL DEFAULT 0
);

-- build_seconds and outcome steer the builds of this instance; revision counts the changes of its metadata. The API
-- does not show them.
CREATE TABLE IF NOT EXISTS instances (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, name TEXT NOT NULL,
    project_id INTEGER NOT NULL REFERENCES projects, pattern_id INTEGER NOT NULL REFERENCES patterns,
    instance_folder_id INTEGER NOT NULL REFERENCES instance_folders, errors INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1, description TEXT, release_id INTEGER, identity_id INTEGER, user_id INTEGER,
    latest_commit_id INTEGER, labels TEXT NOT NULL DEFAULT '[]', deleted INTEGER NOT NULL DEFAULT 0,
    checked_out INTEGER NOT NULL DEFAULT 0, checked_out_by_user_id INTEGER, upload_disabled INTEGER NOT NULL DEFAULT 0,
    insert_disabled INTEGER NOT NULL DEFAULT 0, build_disabled INTEGER NOT NULL DEFAULT 0,
    edit_disabled INTEGER NOT NULL DEFAULT 0, invalid INTEGER NOT NULL DEFAULT 0,
    build_seconds REAL, outcome TEXT NOT NULL DEFAULT 'FINISHED', revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS instances_by_name ON instances (project_id, name);

CREATE TABLE IF NOT EXISTS agent_groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT);

CREATE TABLE IF NOT EXISTS agents (
    id INTEGER PRIMARY KEY, agent_id TEXT NOT NULL, name TEXT NOT NULL, deleted INTEGER NOT NULL,
    disabled INTEGER NOT NULL, online INTEGER NOT NULL, group_id INTEGER REFERENCES agent_groups
);

CREATE TABLE IF NOT EXISTS deployments (
    id INTEGER PRIMARY KEY, pattern_id INTEGER NOT NULL REFERENCES patterns, name TEXT NOT NULL
);

-- A build's status follows from the clock: BUILDING before ends, outcome from then on.
-- progress is set only where a person ended the build early.
CREATE TABLE IF NOT EXISTS builds (
    id INTEGER PRIMARY KEY AUTOINCREMENT, customer_id INTEGER NOT NULL, user_id INTEGER NOT NULL,
    project_id INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL, outcome TEXT NOT NULL,
    message TEXT NOT NULL, progress INTEGER, description TEXT, version INTEGER NOT NULL, wait INTEGER NOT NULL,
    restore INTEGER NOT NULL, patterns TEXT NOT NULL, releases TEXT NOT NULL, instance_ids TEXT NOT NULL,
    instance_names TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS builds_by_project ON builds (project_id);

-- The instances of a build, each with the revision of its metadata at that time: it decides what was generated.
CREATE TABLE IF NOT EXISTS build_instances (
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE, instance_id INTEGER NOT NULL REFERENCES instances,
    revision INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS build_instances_by_build ON build_instances (build_id);
CREATE INDEX IF NOT EXISTS build_instances_by_instance ON build_instances (instance_id);

-- Rows are created with the build and visible once it is FINISHED. size is set where the content was replaced.
CREATE TABLE IF NOT EXISTS downloads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,
    pattern_id INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER, file_id INTEGER, instance_id INTEGER,
    downloaded INTEGER NOT NULL DEFAULT 0, key TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS downloads_by_build ON downloads (build_id);

-- An automatic deployment is created with the build and visible once that is FINISHED.
CREATE TABLE IF NOT EXISTS build_deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,
    pattern_id INTEGER NOT NULL, deployment_id INTEGER NOT NULL, agent_id INTEGER, agent_group_id INTEGER,
    user_id INTEGER NOT NULL, automatic INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS build_deployments_by_build ON build_deployments (build_id);

-- A reset keeps tokens: earlier is 1 for those issued before the last one.
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, user_id INTEGER NOT NULL, issued INTEGER NOT NULL, expires INTEGER NOT NULL,
    earlier INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, method TEXT NOT NULL, path TEXT NOT NULL, time INTEGER NOT NULL,
    query TEXT NOT NULL, headers TEXT NOT NULL, body TEXT NOT NULL, authorized INTEGER NOT NULL, user_id INTEGER,
    status INTEGER, fault TEXT, seconds REAL
);

CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
