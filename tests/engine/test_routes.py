"""Who is told of an alert: as Alertmanager reads the same tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.routes import Matcher, Route, Tree


def route(receiver: str, *matchers: str, routes: tuple[Route, ...] = (), **parts) -> Route:
    return Route(receiver=receiver, matchers=tuple(map(Matcher.parse, matchers)), routes=routes, **parts)


def told(root: Route, **labels: str) -> list[str]:
    return [place.route.receiver for place in Tree(root).match(labels)]


# matchers


@pytest.mark.parametrize(
    ("text", "passes", "fails"),
    [
        ('severity="page"', ["page"], ["", "pages", "Page"]),
        ("severity=page", ["page"], ["", "pager"]),
        (' severity = "page" ', ["page"], [" page "]),
        ('severity!="page"', ["", "ticket"], ["page"]),
        ('severity=~"page|ticket"', ["page", "ticket"], ["pages", "a page", ""]),
        ("severity=~pa.*", ["page", "pa"], ["spa"]),
        ('severity!~"p.*"', ["", "ticket"], ["page"]),
        ('severity=""', [""], ["page"]),
        ("severity=", [""], ["page"]),
        ('severity=~".*"', ["", "anything"], []),
        (r'severity="a\"b\\c\nd\e"', ['a"b\\c\nd\\e'], ["ab"]),
        (r'severity=~"\d+"', ["12"], ["d", ""]),
        ('severity="{a, b}"', ["{a, b}"], ["a"]),
    ],
)
def test_a_matcher_tests_one_label_and_a_missing_one_is_empty(text, passes, fails):
    matcher = Matcher.parse(text)
    assert all(matcher.matches({"severity": value}) for value in passes)
    assert not any(matcher.matches({"severity": value}) for value in fails)
    assert matcher.matches({}) == matcher.matches({"severity": ""})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "severity",
        '="page"',
        '1a="b"',
        'a="b',
        'a="b"c"',
        "a=b c",
        "a==b",
        'a=="b"',
        'a!b"',
        "{a=b}",
        'a="b",c="d"',
        "a~b",
    ],
)
def test_what_is_no_matcher_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="is not a matcher; write it like severity="):
        Matcher.parse(text)


def test_a_broken_regular_expression_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression: .*unterminated"):
        Matcher.parse('a=~"("')
    assert Matcher.parse('a="("').matches({"a": "("})


@given(st.text(min_size=0), st.sampled_from(["=", "!="]))
def test_a_matcher_is_written_as_it_can_be_read_again(value, op):
    matcher = Matcher("a", op, value)
    assert Matcher.parse(str(matcher)) == matcher


# the tree

TREE = route(
    "default",
    routes=(
        route(
            "team-a",
            'owner="team-a"',
            routes=(
                route("testing", 'env="testing"', group_by_all=True),
                route("production-a", 'env="production"', continue_=True),
                route("production-b", 'env=~"produ.*"', 'job=~".*"', group_by=("job",)),
            ),
        ),
        route("team-bc", 'owner=~"team-(b|c)"', group_by=("foo", "bar")),
        route("roles", 'group_by="role"', routes=(route("role-tests", 'env="testing"'),)),
    ),
)


@pytest.mark.parametrize(
    ("labels", "receivers", "keys"),
    [
        ({}, ["default"], ["{}"]),
        ({"owner": "somebody"}, ["default"], ["{}"]),
        ({"owner": "team-a"}, ["team-a"], ['{}/{owner="team-a"}']),
        ({"owner": "team-a", "env": "unset"}, ["team-a"], ['{}/{owner="team-a"}']),
        ({"owner": "team-c"}, ["team-bc"], ['{}/{owner=~"team-(b|c)"}']),
        ({"owner": "team-a", "env": "testing"}, ["testing"], ['{}/{owner="team-a"}/{env="testing"}']),
        (
            {"owner": "team-a", "env": "production"},
            ["production-a", "production-b"],
            ['{}/{owner="team-a"}/{env="production"}', '{}/{owner="team-a"}/{env=~"produ.*",job=~".*"}'],
        ),
        ({"owner": "team-a", "group_by": "role"}, ["team-a"], ['{}/{owner="team-a"}']),
        ({"group_by": "role", "env": "testing"}, ["role-tests"], ['{}/{group_by="role"}/{env="testing"}']),
    ],
    ids=str,
)
def test_the_deepest_match_tells_and_the_first_of_siblings_unless_it_continues(labels, receivers, keys):
    places = Tree(TREE).match(labels)
    assert [place.route.receiver for place in places] == receivers
    assert [place.key for place in places] == keys


def test_a_sibling_that_continues_does_not_silence_those_that_match_after_it():
    root = route("default", routes=(route("a", continue_=True), route("b", continue_=True), route("c"), route("d")))
    assert told(root) == ["a", "b", "c"]


def test_a_child_that_continues_keeps_its_parent_quiet():
    root = route("default", routes=(route("a", 'x="1"', continue_=True),))
    assert told(root, x="1") == ["a"]
    assert told(root, x="2") == ["default"]


# groups


def test_a_group_key_begins_with_the_matchers_on_the_way_down_as_alertmanagers_does():
    root = route("default", routes=(route("pager", 'severity="page"', group_by=("alertname", "account")),))
    (place,) = Tree(root).match({"severity": "page"})
    labels = {"alertname": "X", "severity": "page"}
    assert place.group_key(labels) == '{}/{severity="page"}:{alertname="X"}'
    assert place.group_key(labels | {"account": "p"}) == '{}/{severity="page"}:{account="p", alertname="X"}'
    assert place.group_labels(labels) == {"alertname": "X"}


def test_without_group_by_all_alerts_of_a_route_are_one_group_and_with_three_dots_each_is_its_own():
    (place,) = Tree(route("default")).match({})
    assert place.group_key({"alertname": "X"}) == place.group_key({"alertname": "Y"}) == "{}:{}"
    (place,) = Tree(route("default", group_by_all=True)).match({})
    assert place.group_key({"b": "2", "a": "1"}) == '{}:{a="1", b="2"}'


def test_matchers_in_another_order_are_the_same_route():
    keys = [
        Tree(route("default", routes=(route("a", *order),))).match({"b": "1", "a": "2"})[0].key
        for order in (['b="1"', 'a="2"'], ['a="2"', 'b="1"'])
    ]
    assert keys == ['{}/{a="2",b="1"}'] * 2


def test_siblings_with_the_same_matchers_do_not_share_a_group():
    twins = (route("a", 'x="1"', 'y="2"', continue_=True), route("b", 'y="2"', 'x="1"'))
    places = Tree(route("default", routes=twins)).match({"x": "1", "y": "2"})
    assert [place.route.receiver for place in places] == ["a", "b"]
    assert [place.key for place in places] == ['{}/{x="1",y="2"}', '{}/{x="1",y="2"}/1']


def test_one_route_object_at_two_places_is_two_routes():
    shared = route("shared", 'x="1"')
    root = route("default", routes=(route("a", 'a="1"', routes=(shared,), continue_=True), shared))
    assert [place.key for place in Tree(root).match({"a": "1", "x": "1"})] == ['{}/{a="1"}/{x="1"}', '{}/{x="1"}']


def test_a_place_is_found_by_its_key_as_long_as_the_tree_has_it():
    tree = Tree(TREE)
    for place in tree.match({"owner": "team-a", "env": "production"}):
        assert tree.at(place.key) is place
    assert tree.at('{}/{owner="team-z"}') is None


@given(st.dictionaries(st.text("ab", min_size=1), st.text('x"\\\n, =', min_size=1), max_size=3), st.data())
def test_labels_that_differ_never_share_a_group(labels, data):
    other = data.draw(st.dictionaries(st.text("ab", min_size=1), st.text('x"\\\n, =', min_size=1), max_size=3))
    (place,) = Tree(route("default", group_by_all=True)).match({})
    assert (place.group_key(labels) == place.group_key(other)) == (labels == other)
