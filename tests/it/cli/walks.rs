//! The README's commands for an export of one's own, in its order, over exports that nobody here wrote a mapping for.

use crate::program::{Api, Folder, Ran, assert_ran, repository};

/// The commands of the README's section, each with its exit code.
fn commands() -> Vec<(String, i32)> {
    let readme = std::fs::read_to_string(repository("README.md")).expect("it ships");
    let (_, section) = readme.split_once("### With your own export").expect("the section");
    let (_, block) = section.split_once("```sh\n").expect("its commands");
    let (block, _) = block.split_once("```").expect("their end");
    let lines = block.lines().map(|line| line.split_once('#').unwrap_or((line, "")));
    let exit = |comment: &str| match comment.trim().strip_prefix("ends with ") {
        Some(rest) => rest[..1].parse().expect("an exit code"),
        None => 0,
    };
    lines.map(|(command, comment)| (command.trim().to_owned(), exit(comment))).collect()
}

/// Runs them for an export, where who edits puts `plan-` before each plan; what was run, and what was said.
fn walk(api: &Api, folder: &Folder, export: &str) -> Vec<(String, i32, Ran)> {
    folder.write("members.csv", export).write(
        "edit.sh",
        "sed -i '/^.lookups.plans.$/,$s/^\\(\".*\"\\) = \"\\([^\"]*\\)\"/\\1 = \"plan-\\2\"/' \"$1\"\n",
    );
    let run = |(command, exit): (String, i32)| {
        let line = command
            .replace("http://127.0.0.1:8080/graphql", &format!("{} --rate-scale 1000", api.url))
            .replace("stigg-import ", "\"$PROGRAM\" ");
        let ran = folder.finish(folder.shell(&line).env("EDITOR", "sh edit.sh"));
        (command, exit, ran)
    };
    commands().into_iter().map(run).collect()
}

fn shown(walk: &[(String, i32, Ran)]) -> String {
    walk.iter().map(|(command, _, ran)| format!("$ {command}\n{ran}\n")).collect()
}

/// Each ends as the README says, and everything is in Stigg.
#[track_caller]
fn assert_goes_all_the_way(export: &str, customers: usize, subscriptions: usize) -> (Folder, Api) {
    let (api, folder) = (Api::open(), Folder::new());
    let walk = walk(&api, &folder, export);
    for (command, exit, ran) in &walk {
        assert_eq!(ran.exit, Some(*exit), "{command}: {}", shown(&walk));
    }
    let there = api.sandbox.snapshot();
    assert_eq!((there.customers.len(), there.subscriptions.len()), (customers, subscriptions), "{}", shown(&walk));
    let plans: Vec<&str> = there.subscriptions.values().map(|one| one.plan_id.as_str()).collect();
    assert!(plans.iter().all(|plan| plan.starts_with("plan-")), "{plans:?}: {}", shown(&walk));
    (folder, api)
}

/// A co-working space's tenants: semicolons, ids with leading zeros, days before months, euros, one without a desk.
const TENANTS: &str = "Tenant No;Contact Person;Mail;Moved In;Desk Deal;Desks;Rent
0017;Ada Lovelace;ada@cowork.example;03.01.2024;Hot Desk;1;€ 199,00
0018;Bob Stone;bob@cowork.example;14.02.2024;Fixed Desk;2;€ 1.250,50
0019;Cleo Park;cleo@cowork.example;28.02.2025;Hot Desk;1;€ 199,00
0020;Dan Ohm;n/a;01.03.2025;;;
";

#[test]
fn a_coworking_spaces_tenants_go_by_the_readme() {
    let (api, folder) = (Api::open(), Folder::new());
    assert_ran!(shown(&walk(&api, &folder, TENANTS)), @r#"
    $ stigg-import init --csv members.csv
    exit 0
    --- stdout
    4 rows of 7 columns: no export that is known; columns were guessed
    each row is a customer and a subscription; --entity drafts only one of them
    wrote ./customers.toml
    wrote a step into ./pipeline.toml
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in its mapping:
      subscriptions.toml, subscriptionId: there is none; has each customer one subscription, so that its id can be the customer's?
      subscriptions.toml, lookups.plans: what each plan becomes in Stigg
      subscriptions.toml, startDate: does column "Moved In" say when it began?
      subscriptions.toml, startDate: is the zone of column "Moved In" UTC?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr

    $ $EDITOR subscriptions.toml
    exit 0
    --- stdout

    --- stderr

    $ stigg-import check pipeline.toml
    exit 0
    --- stdout
    customers.toml: holds, and has no examples
    subscriptions.toml: holds, and has no examples
    customers: members.csv: uncompressed, UTF-8 (assumed), delimiter semicolon, quote ", LF, 7 columns
    customers: the first 4 rows fit
    subscriptions: members.csv: uncompressed, UTF-8 (assumed), delimiter semicolon, quote ", LF, 7 columns
    subscriptions: the first 4 rows fit

    --- stderr

    $ stigg-import plan pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected  filtered time
    customers         4        4       4       0          0         0         0 [DURATION]
    subscriptions     4        4       3       0          0         0         1 [DURATION]

    customers: 4 records, 1 request, about a second at the rate limit
    subscriptions: 3 records, 1 request, about a second at the rate limit
    in all: 7 records, 2 requests, about a second at the rate limit

    --- stderr

    $ stigg-import run pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 0
    --- stdout
    step           rows  records  accepted  unchanged  rejected  filtered time
    customers         4        4         4          0         0         0 [DURATION]
    subscriptions     4        4         3          0         0         1 [DURATION]

    every record is accounted for: 8 = 7 accepted + 1 filtered

    --- stderr

    $ stigg-import verify pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 0
    --- stdout
    step           expected  equal  different  missing  unread
    customers             4      4          0        0       0
    subscriptions         3      3          0        0       0

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
    insta::assert_snapshot!(folder.read("customers.toml"), @r#"
    # A draft from 7 columns and 4 rows. Each guess says why; look at those, and at every TODO.

    entity = "customer"

    [fields]
    # the same for customers and subscriptions: 0017 | 0018
    customerId = "Tenant No"
    # by its name: ada@cowork.example | bob@cowork.example
    email = { column = "Mail", null = ["n/a"] }
    # by its name: Ada Lovelace | Bob Stone
    name = "Contact Person"

    # Columns that are not read. To keep one as metadata, take away its # and the one of the next line.
    # [fields.additionalMetaData]
    # "Moved In" = "Moved In"  # 03.01.2024 | 14.02.2024
    # "Desk Deal" = "Desk Deal"  # Hot Desk | Fixed Desk
    # "Desks" = "Desks"  # 1 | 2
    # "Rent" = "Rent"  # € 199,00 | € 1.250,50
    "#);
    insta::assert_snapshot!(folder.read("subscriptions.toml"), @r#"
    # A draft from 7 columns and 4 rows. Each guess says why; look at those, and at every TODO.

    entity = "subscription"
    # Rows without a plan are none: 1 of the sample.
    where = 'row["Desk Deal"] != ""'

    [fields]
    # by what stands in it: 0017 | 0018
    # TODO: there is none; has each customer one subscription, so that its id can be the customer's?
    subscriptionId = "Tenant No"
    # by its name: 0017 | 0018
    customerId = "Tenant No"
    # by its name: Hot Desk | Fixed Desk
    planId = { column = "Desk Deal", lookup = "plans" }
    # by what stands in it: 03.01.2024 | 14.02.2024
    # TODO: does column "Moved In" say when it began?
    # TODO: these times don't say their zone; is it UTC?
    startDate = { column = "Moved In", time = "%d.%m.%Y", zone = "UTC" }

    # Columns that are not read. To keep one as metadata, take away its # and the one of the next line.
    # [fields.additionalMetaData]
    # "Contact Person" = "Contact Person"  # Ada Lovelace | Bob Stone
    # "Mail" = "Mail"  # ada@cowork.example | bob@cowork.example
    # "Desks" = "Desks"  # 1 | 2
    # "Rent" = "Rent"  # € 199,00 | € 1.250,50

    # TODO: what each becomes in Stigg: the id of its plan. Rows with another value are rejected.
    [lookups.plans]
    "Hot Desk" = "plan-hot-desk"  # 2 rows of the sample
    "Fixed Desk" = "plan-fixed-desk"  # 1 row of the sample
    "#);
    let there = api.sandbox.snapshot();
    assert_eq!(there.customers["0017"].name.as_deref(), Some("Ada Lovelace"));
    let of = |id: &str| there.subscriptions.values().find(|one| one.customer_id == id).map(|one| one.plan_id.as_str());
    assert_eq!([of("0017"), of("0018"), of("0020")], [Some("plan-hot-desk"), Some("plan-fixed-desk"), None]);
}

/// Contracts with their customers in each row: several of one, quoted, ISO days, dollars.
const CONTRACTS: &str = r#""Contract #","Customer #","Customer Name","Customer E-mail","Product","Begin","End","Cycle","Price"
"000451","000012","Acme, Inc","ada@acme.example","Cloud Backup","2024-01-31","","1 month","$12.50"
"000452","000012","Acme, Inc","ada@acme.example","Cloud Mail","2024-02-10","","1 month","$4.00"
"000453","000013","Bolt","bob@bolt.example","Cloud Backup","2024-03-01","2035-03-01","12 months","$1,200.00"
"#;

#[test]
fn contracts_with_their_customers_go_by_the_readme() {
    let (api, folder) = (Api::open(), Folder::new());
    assert_ran!(shown(&walk(&api, &folder, CONTRACTS)), @r#"
    $ stigg-import init --csv members.csv
    exit 0
    --- stdout
    3 rows of 9 columns: no export that is known; columns were guessed
    each row is a customer and a subscription; --entity drafts only one of them
    wrote ./customers.toml
    wrote a step into ./pipeline.toml
    wrote ./subscriptions.toml
    wrote a step into ./pipeline.toml

    to decide, each at a TODO in its mapping:
      subscriptions.toml, lookups.plans: what each plan becomes in Stigg
      subscriptions.toml, startDate: is the zone of column "Begin" UTC?
      subscriptions.toml, endDate: is the zone of column "End" UTC?

    then:
      stigg-import check ./pipeline.toml
      stigg-import plan ./pipeline.toml
      stigg-import run ./pipeline.toml
      stigg-import verify ./pipeline.toml
    to try it without an account, start `stigg-import sandbox --port 8080`, and add --target http://127.0.0.1:[PORT]/graphql

    --- stderr

    $ $EDITOR subscriptions.toml
    exit 0
    --- stdout

    --- stderr

    $ stigg-import check pipeline.toml
    exit 0
    --- stdout
    customers.toml: holds, and has no examples
    subscriptions.toml: holds, and has no examples
    customers: members.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 9 columns
    customers: the first 3 rows fit
    subscriptions: members.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 9 columns
    subscriptions: the first 3 rows fit

    --- stderr

    $ stigg-import plan pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 4
    --- stdout
    step           rows  records  create  change  unchanged  rejected time
    customers         3        3       2       0          1         0 [DURATION]
    subscriptions     3        3       3       0          0         0 [DURATION]

    customers: 2 records, 1 request, about a second at the rate limit
    subscriptions: 3 records, 1 request, about a second at the rate limit
    in all: 5 records, 2 requests, about a second at the rate limit

    --- stderr

    $ stigg-import run pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 0
    --- stdout
    step           rows  records  accepted  unchanged  rejected time
    customers         3        3         2          1         0 [DURATION]
    subscriptions     3        3         3          0         0 [DURATION]

    every record is accounted for: 6 = 5 accepted + 1 unchanged

    --- stderr

    $ stigg-import verify pipeline.toml --target http://127.0.0.1:[PORT]/graphql
    exit 0
    --- stdout
    step           expected  equal  different  missing  unread
    customers             2      2          0        0       0
    subscriptions         3      3          0        0       0

    --- stderr
    everything that should be in Stigg is there, as the source has it
    "#);
    let there = api.sandbox.snapshot();
    assert_eq!((there.customers.len(), there.subscriptions.len()), (2, 3));
    assert_eq!(there.customers["000012"].name.as_deref(), Some("Acme, Inc"));
}

#[test]
fn a_dentists_list_goes_by_the_readme() {
    let list = "Patient ID,Patient Name,DOB,E-Mail Address,Phone,Recall Date,Dentist,Care Plan,Plan Start,Plan Fee,Billing
P-0001,\"Lovelace, Ada\",12/10/1985,ada@dent.example,(555) 010-1000,03/15/2025,Dr. Moss,Basic Smile,01/31/2024,$29.00,Monthly
P-0002,\"Stone, Bob\",02/01/1990,bob@dent.example,(555) 010-1001,04/01/2025,Dr. Moss,Family Plus,02/14/2024,\"$1,200.00\",Annual
P-0003,\"Park, Cleo\",07/22/1978,,(555) 010-1002,,Dr. Root,Basic Smile,03/28/2024,$29.00,Quarterly
";
    let (_, api) = assert_goes_all_the_way(list, 3, 3);
    let there = api.sandbox.snapshot();
    assert_eq!(there.customers["P-0001"].name.as_deref(), Some("Lovelace, Ada"));
}

#[test]
fn an_apps_accounts_go_by_the_readme() {
    let accounts = "accountId,displayName,ownerEmail,createdAt,planTier,billingInterval,mrr,seatCount,isTrial,countryCode,lastSeenAt
acc_7f3a,Acme Inc,ada@acme.example,2024-01-31T10:00:00.000Z,growth,monthly,49.00,5,false,DE,2025-05-01T10:00:00Z
acc_8b21,Bolt GmbH,bob@bolt.example,2024-02-14T09:30:00.000Z,scale,yearly,499.00,25,false,US,2025-05-01T11:00:00Z
acc_91cc,Cord,cleo@cord.example,2025-02-28T12:15:00.000Z,starter,monthly,0.00,1,true,FR,
";
    assert_goes_all_the_way(accounts, 3, 3);
}

#[test]
fn a_german_list_of_customers_goes_by_the_readme() {
    let list = "Kundennummer;Firma;Ansprechpartner;E-Mail-Adresse;PLZ;Ort;Kunde seit;Tarif;Vertragsbeginn;Vertragsende;Zahlungsweise;Monatspreis
10001;Müller GmbH;Anna Müller;anna@mueller.example;10115;Berlin;01.02.2020;Basis;01.02.2020;;monatlich;19,90 €
10002;Schäfer & Söhne;Jörg Schäfer;joerg@schaefer.example;80331;München;15.06.2021;Profi;15.06.2021;;jährlich;1.199,00 €
10003;Weiß KG;Karl Weiß;;50667;Köln;30.09.2022;Basis;30.09.2022;31.12.2035;monatlich;19,90 €
";
    let (_, api) = assert_goes_all_the_way(list, 3, 3);
    assert_eq!(api.sandbox.snapshot().customers["10001"].name.as_deref(), Some("Müller GmbH"));
}

/// A school's pupils: leading zeros, a course each, times with AM and PM whose order nothing tells, so that none is taken.
#[test]
fn a_schools_pupils_go_by_the_readme() {
    let list = "student_id,first_name,last_name,guardian_email,course,enrolled_on,fee,status
00042,Ada,Byron,lord@school.example,Piano,9/1/2024 9:00 AM,\"$1,200.00\",active
00043,Bob,Dylan,mum@school.example,Guitar,9/8/2024 1:30 PM,$900.00,cancelled
00044,Cleo,Laine,john@school.example,Guitar,10/1/2024 10:00 AM,$900.00,active
";
    let (folder, api) = assert_goes_all_the_way(list, 3, 3);
    assert!(api.sandbox.snapshot().customers.contains_key("00042"));
    let mapping = folder.read("subscriptions.toml");
    assert!(mapping.contains("# TODO: 3 April or 4 March?") && mapping.contains("\"cancelled\" go on?"), "{mapping}");
}

/// Given customers and contracts of a French club in two files, when both are drafted, then the same commands lead to the end.
#[test]
fn two_files_are_two_drafts_of_one_pipeline() {
    let clients = "N° client;Nom;Prénom;Courriel;Ville;Date d'inscription
C001;Dupont;Marie;marie@salle.example;Paris;03/01/2024
C002;Martin;Luc;luc@salle.example;Lyon;14/02/2024
";
    let contracts = "N° abonnement;N° client;Formule;Date de début;Date de fin;Périodicité;Montant
A-1;C001;Essentiel;03/01/2024;;mensuel;29,90 €
A-2;C002;Premium;14/02/2024;14/02/2035;annuel;1 299,00 €
";
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("contracts.csv", contracts);
    folder.run("init --csv contracts.csv").exits(0);
    for (command, exit, ran) in &walk(&api, &folder, clients) {
        assert_eq!(ran.exit, Some(*exit), "{command}: {ran}");
    }
    let there = api.sandbox.snapshot();
    assert_eq!((there.customers.len(), there.subscriptions.len()), (2, 2));
    assert_eq!(there.customers["C001"].name.as_deref(), Some("Marie Dupont"));
}
