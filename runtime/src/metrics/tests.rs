use super::*;

crate::label! {
    enum Colour, "colour" {
        Red = "red",
        Blue = "blue",
    }
}

crate::label! {
    enum Size, "size" {
        Small = "small",
        Large = "large",
    }
}

#[derive(Debug, Default)]
struct Shop {
    sold: Counters<Colour>,
    open_seconds: Histogram,
}

crate::metrics! {
    /// What a test counts.
    struct Counted, "test" {
        /// Doors that
        /// are open.
        doors: Gauge,
        /// What came in.
        received_bytes: Counter,
        /// Balls that were dropped.
        dropped: Counters<(Colour, Size)>,
        /// Sales.
        sold: PerName<Shop, Counters<Colour>>,
        /// How long shops were open.
        open_seconds: PerName<Shop, Histogram>,
    }
}

fn counted() -> Arc<Counted> {
    let shops = Names::<Shop>::default();
    let shop = shops.of(&"b".into());
    shops.of(&"\"a\"\n".into());
    shop.sold.inc(Colour::Blue);
    shop.open_seconds.observe(std::time::Duration::from_micros(250));
    shops.of(&"b".into()).open_seconds.observe(std::time::Duration::from_secs(400));
    let counted = Counted {
        doors: Gauge::default(),
        received_bytes: Counter::default(),
        dropped: Counters::default(),
        sold: PerName::new("shop", &shops, |shop| &shop.sold),
        open_seconds: PerName::new("shop", &shops, |shop| &shop.open_seconds),
    };
    counted.doors.add(3);
    counted.doors.add(-1);
    counted.received_bytes.add(7);
    counted.dropped.inc((Colour::Blue, Size::Small));
    counted.dropped.inc((Colour::Red, Size::Large));
    Arc::new(counted)
}

#[test]
fn what_is_counted_is_shown() {
    let exposition = Exposition::default();
    exposition.add(counted());
    let text = exposition.text().unwrap();
    let shown: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let buckets = shown.iter().filter(|line| line.contains("_bucket")).count();
    assert_eq!(buckets, 18, "only the shop that was open");
    let shown: Vec<&str> = shown.into_iter().filter(|line| !line.contains("_bucket")).collect();
    assert_eq!(
        shown,
        [
            "test_doors 2",
            "test_received_bytes_total 7",
            r#"test_dropped_total{colour="red",size="small"} 0"#,
            r#"test_dropped_total{colour="red",size="large"} 1"#,
            r#"test_dropped_total{colour="blue",size="small"} 1"#,
            r#"test_dropped_total{colour="blue",size="large"} 0"#,
            r#"test_sold_total{shop="\"a\"\n",colour="red"} 0"#,
            r#"test_sold_total{shop="b",colour="red"} 0"#,
            r#"test_sold_total{shop="b",colour="blue"} 1"#,
            r#"test_open_seconds_sum{shop="b"} 400.00025"#,
            r#"test_open_seconds_count{shop="b"} 2"#,
        ]
    );
    for line in [
        "# HELP test_doors Doors that are open.",
        "# TYPE test_received_bytes counter",
        "# UNIT test_received_bytes bytes",
        r#"test_open_seconds_bucket{le="0.00025",shop="b"} 1"#,
        r#"test_open_seconds_bucket{le="300.0",shop="b"} 1"#,
        r#"test_open_seconds_bucket{le="+Inf",shop="b"} 2"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no {line} in\n{text}");
    }
}

#[test]
fn definitions_say_what_the_text_says() {
    let counted = counted();
    let sold = counted.list().into_iter().find(|definition| definition.name == "sold").unwrap();
    assert_eq!((sold.full_name("test"), sold.kind()), ("test_sold_total".to_owned(), "counter"));
    assert_eq!((sold.labels.as_slice(), sold.help), (["shop", "colour"].as_slice(), "Sales."));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_measured() {
    let process = Process::new();
    let text = {
        let exposition = Exposition::default();
        exposition.add(Arc::new(process));
        exposition.text().unwrap()
    };
    for name in ["open_fds", "max_fds", "resident_memory_bytes", "start_time_seconds"] {
        let line = text.lines().find(|line| line.starts_with(&format!("process_{name} "))).unwrap();
        let value: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 0, "{line}");
    }
}
