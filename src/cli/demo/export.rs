//! A Stripe-style billing export, made on the spot. The same seed gives the same bytes.
//!
//! All people, firms and addresses are invented; mail is on example.com, .org and .net.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use fastrand::Rng;
use jiff::civil::DateTime;
use jiff::{ToSpan, civil};

/// The day of the export: data ends here, so that a demo is the same on every day.
const NOW: DateTime = civil::datetime(2026, 6, 30, 0, 0, 0, 0);

const FIRST: &[&str] =
    &["Ada", "Bo", "Cyd", "Dov", "Eve", "Fay", "Gus", "Hal", "Ida", "Jem", "Kit", "Lou", "Mab", "Ned", "Oda", "Pip"];
const LAST: &[&str] = &[
    "Abbot", "Birch", "Crane", "Dodd", "Elm", "Frost", "Grove", "Hale", "Ives", "Jory", "Keel", "Lark", "Moss", "Nash",
];
const FIRM: &[&str] = &[
    "Acorn", "Bellows", "Copper", "Delta", "Ember", "Fathom", "Granite", "Harbor", "Indigo", "Juniper", "Kestrel",
    "Lantern", "Meadow", "Nimbus",
];
const KIND: &[&str] = &["Labs", "Ltd", "Inc", "GmbH", "Works", "Co, Analytics", "Systems", "\"Quality\" Tools"];
const FAR: &[&str] =
    &["Łódź Söftware", "株式会社テスト", "Ñandú y Cía", "Привет ООО", "Straße & Söhne", "👩‍🚀 Rocket Lab-ish"];

/// Price id, product id, interval, amount. Free and negotiated plans only: paid ones are provisioned, not imported.
const PRICES: &[(&str, &str, &str, &str)] = &[
    ("price_1PqFreeUSDm00000000001", "prod_Free0000000001", "month", "0.00"),
    ("price_1PqFreeUSDm00000000001", "prod_Free0000000001", "month", "0.00"),
    ("price_1PqScaleUSDy0000000007", "prod_Scale000000007", "year", "14400.00"),
    ("plan_legacy-gold", "prod_Legacy00000008", "month", "49.00"),
];
const EVENTS: &[&str] = &["api_calls", "storage_gb_hours", "messages_sent"];

const CUSTOMERS: &[&str] =
    &["id", "Description", "Email", "Name", "Created (UTC)", "Delinquent", "Card ID", "Plan", "Status"];
const SUBSCRIPTIONS: &[&str] = &[
    "id",
    "Customer ID",
    "Customer Description",
    "Customer Email",
    "Customer Name",
    "Plan",
    "Product",
    "Quantity",
    "Currency",
    "Interval",
    "Amount",
    "Status",
    "Created (UTC)",
    "Start (UTC)",
    "Start Date (UTC)",
    "Current Period Start (UTC)",
    "Current Period End (UTC)",
    "Trial Start (UTC)",
    "Trial End (UTC)",
    "Canceled At (UTC)",
    "Cancel At Period End",
    "Ended At (UTC)",
    "seats (metadata)",
    "companyId (metadata)",
];
const USAGE: &[&str] = &["identifier", "timestamp", "event_name", "stripe_customer_id", "value"];

/// Writes `customers.csv`, `subscriptions.csv` and `usage.csv` into `folder`.
///
/// About one row in a hundred is dirty, in the ways in which real exports are.
///
/// # Errors
///
/// The files can't be written.
pub fn write(folder: &Path, customers: u32, seed: u64) -> io::Result<()> {
    let mut out = Tables {
        customers: table(folder, "customers.csv", CUSTOMERS)?,
        subscriptions: table(folder, "subscriptions.csv", SUBSCRIPTIONS)?,
        usage: table(folder, "usage.csv", USAGE)?,
    };
    let mut rng = Rng::with_seed(seed);
    for number in 0..customers {
        out.customer(&mut rng, number)?;
    }
    out.customers.flush()?;
    out.subscriptions.flush()?;
    out.usage.flush()
}

type Table = csv::Writer<BufWriter<File>>;

fn table(folder: &Path, name: &str, header: &[&str]) -> io::Result<Table> {
    let mut table = csv::Writer::from_writer(BufWriter::new(File::create(folder.join(name))?));
    table.write_record(header)?;
    Ok(table)
}

struct Tables {
    customers: Table,
    subscriptions: Table,
    usage: Table,
}

impl Tables {
    fn customer(&mut self, rng: &mut Rng, number: u32) -> io::Result<()> {
        let id = format!("cus_{}", token(rng, 14));
        let name = match rng.u32(0..20) {
            0..=10 => format!("{} {}", pick(rng, FIRM), pick(rng, KIND)),
            11 | 12 => pick(rng, FAR).to_owned(),
            13 => format!("{}\n{}", pick(rng, FIRST), pick(rng, LAST)),
            _ => format!("{} {}", pick(rng, FIRST), pick(rng, LAST)),
        };
        let top = *rng.choice(["com", "org", "net"].iter()).unwrap_or(&"com");
        let email = format!("{}.{number}@example.{top}", pick(rng, LAST).to_lowercase());
        let created = NOW.saturating_sub(rng.i64(60..4 * 365 * 1440).minutes());
        let (price, product, interval, amount) = *rng.choice(PRICES.iter()).unwrap_or(&PRICES[0]);
        let status = *rng
            .choice(["active", "active", "active", "active", "active", "trialing", "past_due", "canceled"].iter())
            .unwrap_or(&"active");
        let card = if rng.u8(..) < 180 { format!("pm_1{}", token(rng, 23)) } else { String::new() };
        let dirt = rng.u32(0..400);
        let created_text = if dirt == 3 { "yesterday".to_owned() } else { minute(created) };
        let row = [
            if dirt == 0 { "" } else { &id },
            "",
            match dirt {
                1 => "not-an-email",
                2 => "",
                _ => &email,
            },
            &name,
            &created_text,
            "false",
            &card,
            price,
            status,
        ]
        .map(str::to_owned);
        self.customers.write_record(&row)?;
        if dirt == 4 {
            self.customers.write_record(&row)?;
        }
        if dirt == 5 {
            let mut other = row.clone();
            other[3] = "Renamed".to_owned();
            self.customers.write_record(&other)?;
        }
        // A customer who was not imported has nothing else, as in a real clean-up.
        if matches!(dirt, 0 | 1 | 3) {
            return Ok(());
        }
        let start = created.saturating_add(rng.i64(0..1440).minutes()).min(NOW.saturating_sub(2.days()));
        let ended = if status == "canceled" { minute(start.saturating_add(1.days())) } else { String::new() };
        let quantity = rng.u32(1..60).to_string();
        let dirt = rng.u32(0..300);
        let dash = |text: &str| text.to_owned();
        self.subscriptions.write_record([
            format!("sub_1{}", token(rng, 23)),
            if dirt == 0 { format!("cus_{}", token(rng, 14)) } else { id.clone() },
            String::new(),
            email,
            name,
            dash(match dirt {
                1 => "price_1PqDoesNotExist000099",
                2 => "",
                _ => price,
            }),
            dash(product),
            dash(match dirt {
                3 => "-4",
                4 => "many",
                _ => &quantity,
            }),
            dash("usd"),
            dash(interval),
            dash(amount),
            dash(status),
            minute(start),
            if dirt == 5 { dash("2025-02-30 10:00") } else { minute(start) },
            if dirt == 5 { dash("2025-02-30 10:00") } else { minute(start) },
            minute(start),
            minute(start.saturating_add(30.days())),
            String::new(),
            String::new(),
            ended.clone(),
            dash("false"),
            ended,
            quantity.clone(),
            (100_000 + number).to_string(),
        ])?;
        if dirt > 5 && matches!(status, "active" | "trialing" | "past_due") {
            self.usage(rng, &id)?;
        }
        Ok(())
    }

    fn usage(&mut self, rng: &mut Rng, id: &str) -> io::Result<()> {
        for _ in 0..rng.u32(0..16) {
            let at = NOW.saturating_sub(rng.i64(60..90 * 86_400).seconds());
            let dirt = rng.u32(0..800);
            let row = [
                format!("evt_{}", token(rng, 20)),
                if dirt == 0 { "now".to_owned() } else { at.strftime("%Y-%m-%d %H:%M:%S").to_string() },
                if dirt == 1 { "api_call" } else { pick(rng, EVENTS) }.to_owned(),
                if dirt == 2 { format!("cus_{}", token(rng, 14)) } else { id.to_owned() },
                match dirt {
                    3 => "NaN".to_owned(),
                    4 => String::new(),
                    _ => rng.u32(0..5000).to_string(),
                },
            ];
            self.usage.write_record(&row)?;
            if dirt == 5 {
                self.usage.write_record(&row)?;
            }
        }
        Ok(())
    }
}

fn minute(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(0..words.len())]
}

fn token(rng: &mut Rng, length: usize) -> String {
    std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect()
}
