//! Over how many links each relay is reached.

use longrein_io::dial::Route;
use longrein_proto::base::Name;

use super::Probed;
use super::finding::Finding;
use super::route::is_reached;

/// One for each relay, and one for all of them.
pub(super) fn findings(probed: &[(&Route, &Probed)]) -> Vec<Finding> {
    let reached = |(route, probed): &(&Route, &Probed)| (route.relay.clone(), is_reached(probed));
    judge(&probed.iter().map(reached).collect::<Vec<_>>())
}

/// Of each route its relay, and whether it is reached.
fn judge(routes: &[(Name, bool)]) -> Vec<Finding> {
    let mut names: Vec<&Name> = Vec::new();
    for (name, _) in routes {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut findings: Vec<Finding> = names.iter().map(|name| one(name, routes)).collect();
    let there = |name: &&&Name| routes.iter().any(|(of, reached)| of == **name && *reached);
    findings.push(match (names.iter().filter(there).count(), names.len()) {
        (0, _) => Finding::fail(
            "relays",
            "none is reached: nobody can drive this vehicle",
            "see the findings of the routes",
        ),
        (1, 1) => Finding::warn(
            "relays",
            "there is one only: when it ends, so does the drive",
            "run a second relay elsewhere, and name it in a [[relay]] section",
        ),
        (1, all) => Finding::warn(
            "relays",
            format!("1 of {all} is reached: when it ends, so does the drive"),
            "see the findings of the routes",
        ),
        (reached, all) => Finding::ok("relays", format!("{reached} of {all} are reached")),
    });
    findings
}

fn one(name: &Name, routes: &[(Name, bool)]) -> Finding {
    let of = routes.iter().filter(|(of, _)| of == name);
    let (all, reached) = of.fold((0, 0), |(all, reached), (_, is_reached)| {
        (all + 1, reached + usize::from(*is_reached))
    });
    let check = format!("relay {name}");
    let what = format!("is reached over {reached} of {all} links");
    let advice = "see the findings of its routes";
    match reached {
        0 => Finding::fail(check, what, advice),
        some if some < all => Finding::warn(check, what, advice),
        _ => Finding::ok(check, what),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn levels(routes: &[(&str, bool)]) -> Vec<Level> {
        let parsed = |(name, reached): &(&str, bool)| (name.parse().unwrap(), *reached);
        let routes: Vec<_> = routes.iter().map(parsed).collect();
        judge(&routes).iter().map(|found| found.level).collect()
    }

    #[test]
    fn a_relay_fails_that_no_link_reaches_and_one_that_some_do_not_is_warned_of() {
        let routes = [
            ("east", true),
            ("west", true),
            ("east", false),
            ("west", true),
        ];
        assert_eq!(levels(&routes), [Level::Warn, Level::Ok, Level::Ok]);
        let routes = [
            ("east", false),
            ("west", true),
            ("east", false),
            ("west", true),
        ];
        assert_eq!(levels(&routes), [Level::Fail, Level::Ok, Level::Warn]);
    }

    #[test]
    fn one_relay_is_too_few_and_none_fails() {
        assert_eq!(levels(&[("east", true)]), [Level::Ok, Level::Warn]);
        assert_eq!(levels(&[("east", false)]), [Level::Fail, Level::Fail]);
    }
}
