use serde_json::Value;

use crate::program::{Folder, assert_ran};

#[test]
fn help_of_the_program() {
    let folder = Folder::new();
    assert_ran!(folder.run("--help"), @r#"
    exit 0
    --- stdout
    Moves a business's billing data into Stigg, and keeps it in step.

    Streams customers, subscriptions and usage out of billing exports, maps them by a declarative file
    to Stigg's import schemas, and delivers them in bulk within the API's rate limits. It remembers what
    was delivered: the same command is a first import, a resume after a crash, and a nightly sync.

    Usage: stigg-import [OPTIONS] <COMMAND>

    Commands:
      demo         Show the main job in a minute: no account, no network
      init         Draft a mapping and a pipeline from an export's header and first rows
      run          Import, resume, or send what changed: always the same command
      bulk         Import the files of the vendor's bulk-import tool, under its flags
      sync         Run again and again on a schedule, never two at a time
      plan         Say what `run` would do; sends nothing
      check        Do the files hold? Runs a mapping's examples and maps the first rows
      doctor       Look at key, rights, catalog, clock and speed of the target before the first write
      verify       Read back from the API and say what differs from the source
      cutover      Move paid plans: provision them backdated, prove it, then cancel the originals
      status       Show the runs of this folder, and what is still open
      settle       Say what became of events whose outcome nobody knows
      ledger       Make a damaged ledger whole
      rejects      List, export or retry the rows that were rejected or refused
      why          Tell one record's story: when it was sent, what was answered, where it was rejected
      sandbox      Run the embedded Stigg API on a port, with rate limits, latency and faults
      schema       Print the JSON Schema of a file format, for editors
      completions  Print a completion script for a shell
      man          Print the manual page, or write one for each command
      help         Print this message or the help of the given subcommand(s)

    Options:
          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Start here:
      stigg-import demo                         see the main job work, no account needed
      stigg-import check --mapping M --csv F    does the mapping fit the export?
      stigg-import plan  --mapping M --csv F    what would be sent?
      stigg-import run   --mapping M --csv F    send it

    The key of the target environment is read from STIGG_API_KEY (or STIGG_SERVER_API_KEY).

    Exit codes:
      0  all settled
      1  a bug
      2  wrong arguments
      3  some rows were rejected or refused, or --max-rejects was passed
      4  interrupted, or some batches are still open: run the same command again
      5  config, mapping or target doesn't hold: nothing was sent
      6  the source failed part-way
      7  credentials refused
      8  the ledger, or a report, can't be written
      9  another run holds the ledger

    --- stderr
    "#);
    assert_ran!(folder.run("-h"), @r#"
    exit 0
    --- stdout
    Moves a business's billing data into Stigg, and keeps it in step.

    Usage: stigg-import [OPTIONS] <COMMAND>

    Commands:
      demo         Show the main job in a minute: no account, no network
      init         Draft a mapping and a pipeline from an export's header and first rows
      run          Import, resume, or send what changed: always the same command
      bulk         Import the files of the vendor's bulk-import tool, under its flags
      sync         Run again and again on a schedule, never two at a time
      plan         Say what `run` would do; sends nothing
      check        Do the files hold? Runs a mapping's examples and maps the first rows
      doctor       Look at key, rights, catalog, clock and speed of the target before the first write
      verify       Read back from the API and say what differs from the source
      cutover      Move paid plans: provision them backdated, prove it, then cancel the originals
      status       Show the runs of this folder, and what is still open
      settle       Say what became of events whose outcome nobody knows
      ledger       Make a damaged ledger whole
      rejects      List, export or retry the rows that were rejected or refused
      why          Tell one record's story: when it was sent, what was answered, where it was rejected
      sandbox      Run the embedded Stigg API on a port, with rate limits, latency and faults
      schema       Print the JSON Schema of a file format, for editors
      completions  Print a completion script for a shell
      man          Print the manual page, or write one for each command
      help         Print this message or the help of the given subcommand(s)

    Options:
          --json               Print one JSON object to standard output instead of text
      -q, --quiet              Say nothing but errors and the result
      -v, --verbose...         Say more; twice for every request
          --log-format <FORM>  Form of the log lines on standard error [default: text] [possible values:
                               text, json]
      -h, --help               Print help (see more with '--help')
      -V, --version            Print version

    Start here:
      stigg-import demo                         see the main job work, no account needed
      stigg-import check --mapping M --csv F    does the mapping fit the export?
      stigg-import plan  --mapping M --csv F    what would be sent?
      stigg-import run   --mapping M --csv F    send it

    The key of the target environment is read from STIGG_API_KEY (or STIGG_SERVER_API_KEY).

    Exit codes:
      0  all settled
      1  a bug
      2  wrong arguments
      3  some rows were rejected or refused, or --max-rejects was passed
      4  interrupted, or some batches are still open: run the same command again
      5  config, mapping or target doesn't hold: nothing was sent
      6  the source failed part-way
      7  credentials refused
      8  the ledger, or a report, can't be written
      9  another run holds the ledger

    --- stderr
    "#);
    assert_ran!(folder.run(""), @r#"
    exit 2
    --- stdout

    --- stderr
    Moves a business's billing data into Stigg, and keeps it in step.

    Usage: stigg-import [OPTIONS] <COMMAND>

    Commands:
      demo         Show the main job in a minute: no account, no network
      init         Draft a mapping and a pipeline from an export's header and first rows
      run          Import, resume, or send what changed: always the same command
      bulk         Import the files of the vendor's bulk-import tool, under its flags
      sync         Run again and again on a schedule, never two at a time
      plan         Say what `run` would do; sends nothing
      check        Do the files hold? Runs a mapping's examples and maps the first rows
      doctor       Look at key, rights, catalog, clock and speed of the target before the first write
      verify       Read back from the API and say what differs from the source
      cutover      Move paid plans: provision them backdated, prove it, then cancel the originals
      status       Show the runs of this folder, and what is still open
      settle       Say what became of events whose outcome nobody knows
      ledger       Make a damaged ledger whole
      rejects      List, export or retry the rows that were rejected or refused
      why          Tell one record's story: when it was sent, what was answered, where it was rejected
      sandbox      Run the embedded Stigg API on a port, with rate limits, latency and faults
      schema       Print the JSON Schema of a file format, for editors
      completions  Print a completion script for a shell
      man          Print the manual page, or write one for each command
      help         Print this message or the help of the given subcommand(s)

    Options:
          --json               Print one JSON object to standard output instead of text
      -q, --quiet              Say nothing but errors and the result
      -v, --verbose...         Say more; twice for every request
          --log-format <FORM>  Form of the log lines on standard error [default: text] [possible values:
                               text, json]
      -h, --help               Print help (see more with '--help')
      -V, --version            Print version

    Start here:
      stigg-import demo                         see the main job work, no account needed
      stigg-import check --mapping M --csv F    does the mapping fit the export?
      stigg-import plan  --mapping M --csv F    what would be sent?
      stigg-import run   --mapping M --csv F    send it

    The key of the target environment is read from STIGG_API_KEY (or STIGG_SERVER_API_KEY).

    Exit codes:
      0  all settled
      1  a bug
      2  wrong arguments
      3  some rows were rejected or refused, or --max-rejects was passed
      4  interrupted, or some batches are still open: run the same command again
      5  config, mapping or target doesn't hold: nothing was sent
      6  the source failed part-way
      7  credentials refused
      8  the ledger, or a report, can't be written
      9  another run holds the ledger
    "#);
}

#[test]
fn help_of_run() {
    assert_ran!(Folder::new().run("run --help"), @r#"
    exit 0
    --- stdout
    Imports what is new or changed.

    The first run sends everything. A run after a crash or an interrupt goes on where it stopped. A run
    over an unchanged export sends nothing. Rows that do not fit go to the rejects file and never stop
    the run.

    A run compares with what it delivered, not with what Stigg has: what somebody changed in Stigg since
    is reported by `verify` and repaired by `run --resend`, which sends every record of the source
    again.

    Usage: stigg-import run [OPTIONS] [PIPELINE.toml]

    Arguments:
      [PIPELINE.toml]
              A pipeline file (several steps), instead of --mapping and a source

    Options:
      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --shard <I/N>
              Take only the records of part I of N, from 0 (3/8), as one of N workers that share a
              ledger in Postgres and the rate limit. /N takes I from JOB_COMPLETION_INDEX, as Kubernetes
              sets it

          --plan <FILE>
              Send just what this file of `plan --out` says, and nothing if source or target have moved
              since

          --canary <N>
              Send so many records of each step first, read them back, show them, and ask before going
              on with the others

          --yes
              Don't ask: go on after a canary whose records are in Stigg as they were sent

          --max-rejects <N|N%>
              Stop after this many rejects, or this share of the rows (5 %)

          --full
              Read all rows, also where `changed` would leave some out

          --resend
              Send every record again, also those that were delivered: repairs what was changed in Stigg
              itself; not events, which may count twice

          --to-files <FOLDER>
              Send nothing: write the files of the vendor's bulk-import tool into this folder, for
              `bulk` or the tool itself

          --report <FILE.html>
              Write what happened into this file, too: a page for a browser that only you may read

          --report-samples
              Show values of some of the rows in the report: personal data

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import run pipeline.toml
      stigg-import run --mapping mappings/stripe/customers.toml --csv 'exports/customers*.csv.gz'
      stigg-import run --mapping customers.toml --postgres 'postgres://me:${PGPASSWORD}@host/db' --table
      customers --key id
      stigg-import run --mapping customers.toml --sqlite billing.db --query 'select * from customers'
      --key id
      curl -s https://example.com/export | stigg-import run --mapping customers.toml --json - --array
      customers
      psql -c "COPY (…) TO STDOUT CSV HEADER" | stigg-import run --mapping customers.toml --csv -
      stigg-import run pipeline.toml --target http://127.0.0.1:[PORT]/graphql
      stigg-import run pipeline.toml --to-files files

    --- stderr
    "#);
}

#[test]
fn help_of_plan_and_verify() {
    assert_ran!(Folder::new().run("plan --help"), @r#"
    exit 0
    --- stdout
    Says what `run` with the same words would do, in records; sends nothing and writes nothing.

    Records are compared with what the ledger knows to be delivered: to create, to change, unchanged,
    rejected; of customers and subscriptions to change, the fields that differ. The time is that of the
    requests at the rate limit.

    Usage: stigg-import plan [OPTIONS] [PIPELINE.toml]

    Arguments:
      [PIPELINE.toml]
              A pipeline file (several steps), instead of --mapping and a source

    Options:
      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --full
              Read all rows, also where `changed` would leave some out

          --live
              Read from Stigg what it has of each record that would be sent, and say which fields differ

          --offline
              Ask the target nothing: its catalog, and what records refer to, is not checked

          --out <FILE>
              Write the plan into this file: `run --plan FILE` sends just that, and refuses if source or
              target have moved

          --report <FILE.html>
              Write what happened into this file, too: a page for a browser that only you may read

          --report-samples
              Show values of some of the rows in the report: personal data

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import plan pipeline.toml
      stigg-import plan --mapping customers.toml --csv customers.csv --json
      stigg-import plan --mapping customers.toml --sqlite billing.db --table customers --key id

    --- stderr
    "#);
    assert_ran!(Folder::new().run("verify --help"), @r#"
    exit 0
    --- stdout
    Reads back from the API every record that the source has, and says what is missing or differs.

    Ends with 0 if Stigg has everything as the source has it, and with 3 if something is missing or
    differs. Rejected rows are not looked for. `run` sends what has changed in the source; what was
    changed in Stigg itself is repaired by `run --resend`.

    Usage: stigg-import verify [OPTIONS] [PIPELINE.toml]

    Arguments:
      [PIPELINE.toml]
              A pipeline file (several steps), instead of --mapping and a source

    Options:
      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --gone
              List the records that are in Stigg and that the ledger knows, but that no row of the
              database makes any more

          --sample <N>
              Read back only so many records of each step, chosen at random, for sources that are too
              large to read back whole

          --extra
              List the customers and subscriptions that Stigg has and that no step has

          --ledger <PATH|URL>
              The ledger, for --gone: a file, or a Postgres database [default: $STIGG_IMPORT_LEDGER, or
              .stigg-import/ledger.db]

          --report <FILE.html>
              Write what happened into this file, too: a page for a browser that only you may read

          --report-samples
              Show values of some of the rows in the report: personal data

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import verify pipeline.toml
      stigg-import verify --mapping customers.toml --csv customers.csv
      stigg-import verify --mapping customers.toml --json export.json --array customers
      stigg-import verify pipeline.toml --gone

    --- stderr
    "#);
}

#[test]
fn help_of_check() {
    assert_ran!(Folder::new().run("check --help"), @r"
    exit 0
    --- stdout
    Checks mapping and pipeline files: do they hold, do the mapping's examples pass, are the columns
    there, and do the first rows fit? Sends nothing.

    Ends with 0 if everything is fine, with 3 if some of the rows would be rejected, and with 5
    otherwise.

    Usage: stigg-import check [OPTIONS] [FILE]...

    Arguments:
      [FILE]...
              Mapping or pipeline files

    Options:
      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

          --rows <N>
              How many rows are tried

              [default: 1000]

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import check mappings/stripe/customers.toml
      stigg-import check --mapping customers.toml --csv customers.csv
      stigg-import check --mapping customers.toml --json export.json --array customers
      stigg-import check pipeline.toml

    --- stderr
    ");
}

#[test]
fn help_of_demo_and_sandbox() {
    assert_ran!(Folder::new().run("demo --help"), @r#"
    exit 0
    --- stdout
    Shows the main job in a minute: no account, no network.

    Writes a Stripe-style export with some dirty rows, starts the embedded API, imports customers,
    subscriptions and usage into it with the mappings that ship, reads everything back, and says what
    happened.

    With --cutover there is an account at Stripe, too, and the subscriptions on paid plans are moved:
    provisioned, proved, and then cancelled at Stripe. Some can't be moved, on purpose.

    Usage: stigg-import demo [OPTIONS]

    Options:
          --customers <N>
              How many customers the export has [default: 1000; with --cutover 12]

          --cutover
              Show how paid plans are moved instead: provisioned, proved, and their originals at Stripe
              cancelled

          --dir <FOLDER>
              The folder for the export, the ledger and the rejects [default: a new temporary one]

          --real-limits
              Keep to the published rate limits (by default the embedded API is a thousand times as
              generous)

          --seed <N>
              The export's seed

              [default: 1]

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import demo
      stigg-import demo --json
      stigg-import demo --customers 5000 --dir my-demo
      stigg-import demo --cutover

    --- stderr
    "#);
    assert_ran!(Folder::new().run("sandbox --help"), @r"
    exit 0
    --- stdout
    Run the embedded Stigg API on a port, with rate limits, latency and faults

    Usage: stigg-import sandbox [OPTIONS]

    Options:
          --port <PORT>
              The port on 127.0.0.1; 0 takes a free one and prints it

              [default: 8080]

          --catalog <FILE>
              Plans, features, add-ons and credit currencies (JSON); without it any id is known

          --data <FILE>
              Keep the data in this file: read at start if it is there, written at the end

          --stripe <FILE>
              What the account at Stripe holds (JSON), the billing system to move away from; without it
              nothing

          --rate-scale <N>
              Multiply the published rate limits

              [default: 1]

          --no-limits
              Don't limit the rate

          --latency-ms <MS>
              How long each answer takes

              [default: 0]

          --key <KEY>
              Accept only this key; may be repeated [default: any]

          --fault <KIND=P>
              A fault and its probability (lost-answer=0.05); may be repeated

          --unknown <NAME=CHOICE>
              How to behave where the API's documents are silent (customer-batch=good-kept); may be
              repeated

          --seed <N>
              Seed of the random faults

              [default: 1]

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import sandbox --port 8080
      stigg-import sandbox --port 8080 --rate-scale 10 --latency-ms 120 --fault lost-answer=0.05
      stigg-import sandbox --port 8080 --catalog catalog.json --unknown customer-batch=good-kept

    --- stderr
    ");
}

#[test]
fn help_of_status_and_rejects() {
    assert_ran!(Folder::new().run("status --help"), @r#"
    exit 0
    --- stdout
    Show the runs of this folder, and what is still open

    Usage: stigg-import status [OPTIONS]

    Options:
          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --runs <N>
              How many runs

              [default: 10]

          --cutover
              Instead of runs: how far the paid subscriptions of a cutover are

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import status
      stigg-import status --cutover
      stigg-import status --json

    --- stderr
    "#);
    assert_ran!(Folder::new().run("rejects --help"), @r#"
    exit 0
    --- stdout
    List, export or retry the rows that were rejected or refused

    Usage: stigg-import rejects [OPTIONS] <COMMAND>

    Commands:
      list    What was rejected, by reason, with samples
      export  Write the rejected rows as a CSV that can be corrected and run again
      retry   Run a corrected CSV (or the rejected rows as they are) through the same mapping again
      help    Print this message or the help of the given subcommand(s)

    Options:
          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import rejects list
      stigg-import rejects export --out fix.csv
      stigg-import rejects retry --csv fix.csv

    --- stderr
    "#);
    assert_ran!(Folder::new().run("rejects list --help"), @r#"
    exit 0
    --- stdout
    What was rejected, by reason, with samples

    Usage: stigg-import rejects list [OPTIONS]

    Options:
          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --run <RUN>
              The run [default: the last that rejected something]

          --step <NAME>
              Only this step

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import rejects list
      stigg-import rejects list --run 3 --json

    --- stderr
    "#);
    assert_ran!(Folder::new().run("rejects export --help"), @r#"
    exit 0
    --- stdout
    Write the rejected rows as a CSV that can be corrected and run again

    Usage: stigg-import rejects export [OPTIONS]

    Options:
          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --run <RUN>
              The run [default: the last that rejected something]

          --step <NAME>
              Only this step

      -o, --out <FILE>
              Where to write [default: standard output]

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Example:
      stigg-import rejects export --step customers --out fix.csv

    --- stderr
    "#);
    assert_ran!(Folder::new().run("rejects retry --help"), @r#"
    exit 0
    --- stdout
    Run a corrected CSV (or the rejected rows as they are) through the same mapping again

    Usage: stigg-import rejects retry [OPTIONS]

    Options:
          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --run <RUN>
              The run [default: the last that rejected something]

          --step <NAME>
              Only this step

          --replace
              Send rows also where a record of their key was delivered meanwhile with other content

          --csv <FILE>
              The corrected CSV [default: the rejected rows as they were]

          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import rejects retry --step customers --csv fix.csv
      stigg-import rejects retry

    --- stderr
    "#);
}

#[test]
fn help_of_schema_completions_and_man() {
    assert_ran!(Folder::new().run("schema --help"), @r#"
    exit 0
    --- stdout
    Print the JSON Schema of a file format, for editors

    Usage: stigg-import schema [OPTIONS] <OF>

    Arguments:
      <OF>
              Which file format

              Possible values:
              - mapping:  Mapping files
              - pipeline: Pipeline files

    Options:
          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Example:
      stigg-import schema mapping > mapping.schema.json

    --- stderr
    "#);
    assert_ran!(Folder::new().run("completions --help"), @r#"
    exit 0
    --- stdout
    Print a completion script for a shell

    Usage: stigg-import completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>
              The shell

              [possible values: bash, elvish, fish, powershell, zsh]

    Options:
          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Example:
      stigg-import completions bash > /etc/bash_completion.d/stigg-import

    --- stderr
    "#);
    assert_ran!(Folder::new().run("man --help"), @r#"
    exit 0
    --- stdout
    Prints the manual page of the program; with --dir it writes that and a page for each command into a
    folder.

    Usage: stigg-import man [OPTIONS]

    Options:
          --dir <FOLDER>
              Write a page for the program and for each of its commands into this folder

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import man | man -l -
      stigg-import man --dir /usr/local/share/man/man1

    --- stderr
    "#);
}

#[test]
fn version_is_data() {
    let ran = Folder::new().run("--version").exits(0);
    assert_eq!(ran.stdout, concat!("stigg-import ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(ran.stderr, "");
}

#[test]
fn wrong_words_end_with_2_and_say_which() {
    let folder = Folder::new();
    assert_ran!(folder.run("rum"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: unrecognized subcommand 'rum'

      tip: a similar subcommand exists: 'run'

    Usage: stigg-import [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    assert_ran!(folder.run("run"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: neither a pipeline file nor a mapping is given
    hint: stigg-import run pipeline.toml, or stigg-import run --mapping M --csv F
    "#);
    assert_ran!(folder.run("run --mapping m.toml"), @r"
    exit 2
    --- stdout

    --- stderr
    error: there is a mapping, and no source
    hint: stigg-import run --mapping M with --csv F, --json F, --stripe LIST, or --postgres, --mysql or --sqlite and --query or --table
    ");
    assert_ran!(folder.run("run p.toml --mapping m.toml --csv c.csv"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: the argument '[PIPELINE.toml]' cannot be used with '--mapping <FILE>'

    Usage: stigg-import run --csv <FILE> <PIPELINE.toml>

    For more information, try '--help'.
    "#);
    assert_ran!(folder.run("run p.toml --rate-scale 0"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: invalid value '0' for '--rate-scale <N>': not a number above zero

    For more information, try '--help'.
    "#);
    assert_ran!(folder.run("check"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: there is nothing to check
    hint: name mapping or pipeline files, or --mapping M --csv F
    "#);
    assert_ran!(folder.run("sandbox --port 0 --fault lost_answer=0.1"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: there is no setting "lost_answer"; there are: rate-limited, server-error-before, server-error-after, lost-answer, reset-before, slow, truncated, silent, silent-after, bad-gateway, bad-gateway-after, not-json, unauthenticated, slow-ms, unauthenticated-after
    "#);
}

#[test]
fn wrong_values_end_with_2_before_anything_is_read_or_sent() {
    let folder = super::clean();
    assert_ran!(folder.run("run --mapping customers.toml --csv customers.csv --max-rejects some"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: `some` is neither a number of rejects (100) nor a share of the rows (5%)
    "#);
    assert_ran!(folder.run("run --mapping customers.toml --csv customers.csv --delimiter ::"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: `::` is no delimiter
    hint: one ASCII character, or tab
    "#);
    assert_ran!(folder.run("run --mapping customers.toml --csv customers.csv --quote quote"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: `quote` is no quote character
    hint: one ASCII character, or none
    "#);
    assert!(!folder.path(".stigg-import").exists());
}

#[test]
fn completions_exist_for_every_shell() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = folder.run(&format!("completions {shell}")).exits(0);
        assert!(ran.stdout.contains("rejects") && ran.stdout.contains("rate-scale"), "{ran}");
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn the_manual_page_is_one() {
    let ran = Folder::new().run("man").exits(0);
    assert!(ran.stdout.contains(".TH stigg-import 1"), "{ran}");
}

#[test]
fn schemas_are_json_schemas() {
    for of in ["mapping", "pipeline"] {
        let schema: Value = Folder::new().run(&format!("schema {of}")).exits(0).json();
        assert!(schema["$schema"].as_str().is_some_and(|dialect| dialect.contains("json-schema.org")), "{schema}");
        assert_eq!(schema["type"], "object", "{schema}");
        assert!(schema["properties"].as_object().is_some_and(|properties| !properties.is_empty()), "{schema}");
    }
}

#[test]
fn help_of_init() {
    assert_ran!(Folder::new().run("init --help"), @"
    exit 0
    --- stdout
    Drafts a mapping and a pipeline from an export's header and its first rows, from JSON, or from a
    database's table.

    Exports of Stripe, Chargebee, Recurly and Zuora are recognised by their columns and get the mapping
    that ships. Of others the columns are guessed, by their names and by what stands in them; each guess
    has a comment with two values, and what only you can know is marked with TODO: which plan becomes
    which, which zone times are in. What is written passes `check`. Nothing is sent.

    On a terminal it asks what it can't guess well, with its guess on Enter: what a row is, which of two
    likely columns is the id, whether the day or the month comes first, whether amounts are in cents.
    --yes asks nothing.

    Usage: stigg-import init [OPTIONS]

    Options:
      -e, --entity <ENTITY>
              What a row is: customer, subscription, paid-subscription, usage or event [default: told by
              the columns, and both where each row is a customer and the plan that it has]

          --csv <FILE>
              A CSV file or a pattern ('exports/*.csv.gz')

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: a JSON
              file or a pattern: an array, an object with one, or records on lines

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --column <FIELD=COLUMN>
              A field's column, where the guess is wrong: customerId=who; may be repeated

          --dates <ORDER>
              What comes first in dates such as 03/04/2024, where the columns don't tell

              Possible values:
              - day-first:   3 April
              - month-first: March 4

          --dir <DIR>
              The folder for the mapping and the pipeline file

              [default: .]

          --rows <N>
              Rows that are looked at

              [default: 1000]

      -y, --yes
              Ask nothing on a terminal: what can't be known is guessed and left with a TODO

          --force
              Write over a mapping that is there

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import init --csv customers.csv
      stigg-import init --entity paid-subscription --csv contracts.csv --yes
      stigg-import init --entity subscription --csv 'exports/subs*.csv.gz' --dir migration
      stigg-import init --entity customer --csv crm.csv --column customerId=who
      stigg-import init --entity customer --json export.json --array customers
      stigg-import init --entity usage --postgres 'postgres://me:${PGPASSWORD}@host/db' --table
      usage_totals

    --- stderr
    ");
}

#[test]
fn help_of_doctor() {
    assert_ran!(Folder::new().run("doctor --help"), @r#"
    exit 0
    --- stdout
    Looks at the target before the first write: the key and its rights, the environment, the catalog,
    this machine's clock, and how fast the API answers; and answers what the API's documents leave open,
    as far as reads can. Each finding that is not fine says what to do.

    With --probe it also makes throw-away customers (their ids begin with stigg-import-doctor-), looks
    what the API does with them, archives them again (and those of an earlier probe that was ended
    half-way), and remembers the answers for this target beside the ledger. It refuses to in a
    production environment.

    Ends with 0 if an import can begin, with 5 if something is in its way, and with 7 if the key is
    missing, refused, or has too few rights.

    Usage: stigg-import doctor [OPTIONS] [PIPELINE.toml]

    Arguments:
      [PIPELINE.toml]
              A pipeline file, for its target, its limits and what its steps need

    Options:
          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --probe
              Write throw-away customers, look what the API does with them, and archive them again

          --not-production
              Your word that it is no production environment, where the key may not read what it is

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import doctor
      stigg-import doctor pipeline.toml --json
      stigg-import doctor --target http://127.0.0.1:[PORT]/graphql --probe

    --- stderr
    "#);
}

#[test]
fn help_of_why() {
    assert_ran!(Folder::new().run("why --help"), @r#"
    exit 0
    --- stdout
    Tells what became of one record: each time it was sent, when, by which run, and what was answered;
    where it was rejected, and why; and how far the move of a paid subscription is.

    A customer or subscription is named by its id, usage by customer, feature and, where there is one,
    resource. The ledger keeps of each record the delivery of its present content, and refusals of the
    latest run; rows are found in the rejects files, by any of their cells.

    With the words of the run (--mapping and a source, or --pipeline) the source is read, too: the
    record's row, what the mapping says of each field, and what would be sent.

    Usage: stigg-import why [OPTIONS] <KEY>...

    Arguments:
      <KEY>...
              The record's key: a customer's or subscription's id; of usage: customer, feature, resource

    Options:
          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --pipeline <PIPELINE.toml>
              A pipeline file, to look the record up in its sources, too

      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import why cus_123
      stigg-import why cus_123 feature-seats
      stigg-import why cus_123 --mapping customers.toml --csv customers.csv
      stigg-import why sub_123 --json

    --- stderr
    "#);
}

#[test]
fn help_of_cutover() {
    assert_ran!(Folder::new().run("cutover --help"), @r#"
    exit 0
    --- stdout
    Moves subscriptions on paid plans, the part of a migration that costs real money.

    Each is provisioned in Stigg with the original's start date and isBackdated, so that nothing is
    billed twice; read back until it is active and at the billing provider under an id of its own, at
    the original's price; and only then is the original cancelled there, at once and without proration
    or a last invoice. Every step is in the ledger and in an audit file before its effect: stopped at
    any moment, the same command goes on.

    Without more words it provisions and proves, and cancels nothing. Cancelling needs --phase cancel
    (or all) and --cancel-originals, and on a terminal the number typed. What can't go on is parked with
    a reason; docs/cutover.md says what to do about each.

    Originals at Stripe are read and cancelled by this program (key in STRIPE_API_KEY; live keys need
    --live). Those of other providers are written to a list for people, which comes back with
    --cancelled.

    Usage: stigg-import cutover [OPTIONS]

    Options:
      -m, --mapping <FILE>
              The mapping file

          --csv <FILE>
              A CSV file, a pattern ('exports/*.csv.gz'), or - for standard input; may be repeated

          --delimiter <CHAR>
              The CSV's delimiter, where it is not found out by itself: , ; | or tab

          --quote <CHAR>
              The CSV's quote character, or none

          --encoding <LABEL>
              The encoding of CSV or JSON, where it is not found out by itself: utf-8, utf-16le,
              windows-1252, …

          --json [<FILE>]
              Without FILE: print one JSON object to standard output instead of text. With FILE: read
              JSON from a file, a pattern, or - for standard input. May be repeated

          --array <NAME>
              The array that holds the JSON's records, where there are several: customers,
              data.customers

          --each <NAME>
              An object or array in each JSON record, to make a row of each of its entries (columns _key
              and _value)

          --postgres <URL>
              A Postgres database: 'postgres://me:${PGPASSWORD}@host/db', in single quotes; the program
              puts variables in

          --mysql <URL>
              A MySQL or MariaDB database: 'mysql://me:${MYSQL_PWD}@host/db', in single quotes

          --sqlite <FILE>
              A SQLite database's file

          --stripe <LIST>
              A list of Stripe's API: subscriptions or customers; the key is read from STRIPE_API_KEY

          --stripe-url <URL>
              Where Stripe's API is [default: https://api.stripe.com]

          --query <SQL>
              The query whose rows are read from the database

          --table <NAME>
              The table whose rows are read from the database

          --key <COLUMN>
              A unique column of the query or table, so that rows are read in pages by it

          --changed <COLUMN>
              The column that says when a row has changed, so that later runs read only changes

          --changed-margin <N>
              How far before the last mark changes are read again: seconds, or the column's own unit
              [default: 60]

          --target <URL>
              The GraphQL address [default: the pipeline file's, or https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --phase <PHASE>
              What is done

              Possible values:
              - provision: Provision in Stigg and prove; cancel nothing
              - cancel:    Cancel the originals of what was proved; provision nothing
              - all:       Both, one after the other

              [default: provision]

          --cancel-originals
              Really cancel originals at the billing provider; with --phase cancel or all

          --plan
              Say what would be done; sends nothing and writes nothing

          --only-customers <FILE>
              Only subscriptions of the customers in this file, an id on each line

          --limit <N>
              At most so many subscriptions, for a first cohort

          --retry-parked [<REASON>]
              Begin parked ones anew: all, or those of one reason

          --live
              Take a live Stripe key: real customers are charged and cancelled

          --provider-url <URL>
              Where the billing provider's API is [default: that of --stripe-url, or
              https://api.stripe.com]

          --without-amounts
              Don't compare what the provider charges for the original and its replacement: for
              replacements that are billed by another account

          --settle-seconds <N>
              How long a provision request without an answer may still be carried out; only then is it
              sent again

              [default: 120]

          --audit <FILE>
              The audit file, a JSON line for each step [default: cutover-audit.jsonl beside the ledger]

          --originals <FILE>
              The list of originals that people cancel; a new file [default: originals-to-cancel.csv]

          --cancelled <FILE>
              Take back the list of originals, `cancelled_at` filled in, and close those

          --max-rejects <N|N%>
              Stop after this many rejects, or this share of the rows (5 %)

          --report <FILE.html>
              Write what happened into this file, too: a page for a browser that only you may read

          --report-samples
              Show values of some of the rows in the report: personal data

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import cutover --mapping paid.toml --stripe subscriptions --plan
      stigg-import cutover --mapping paid.toml --stripe subscriptions --limit 10
      stigg-import status --cutover
      stigg-import cutover --phase cancel --cancel-originals --limit 10
      stigg-import cutover --mapping paid.toml --stripe subscriptions --phase all --cancel-originals
      --live
      stigg-import cutover --mapping paid.toml --csv subscriptions.csv --only-customers first.txt
      stigg-import cutover --mapping paid.toml --csv subscriptions.csv --retry-parked payment-required
      stigg-import cutover --cancelled originals-to-cancel.csv

    --- stderr
    "#);
}
