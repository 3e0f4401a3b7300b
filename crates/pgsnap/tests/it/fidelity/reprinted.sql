-- Expressions of every kind that PostgreSQL stores, among them each that prints differently once its print was parsed.
create extension citext;
create type mood as enum ('sad','ok');
create type pair as (a int, b varchar(5));
create domain d_status as varchar(20) check (value in ('a','b'));
create domain d_text as text check (value in ('a','b') and length(value) between 1 and 5 and value <> 'c');
create domain d_int as int check (value between 1 and 5 and value <> 3);
create table t (
  id int primary key, status varchar(20) default 'active' check (status in ('active','archived')),
  s2 varchar(20) check (status not in ('x','y')),
  c char(3) check (c in ('a','b')),
  tx text check (tx in ('a','b')),
  ci citext check (ci in ('a','b')) check (ci like 'a%') check (ci = any (array['a','b'])),
  n numeric(10,2) default 0 check (n in (1,2.5)) check (n = any (array[1,2])),
  big bigint default -1 check (big in (1,2)) check (big = any(array[1,2])),
  sm smallint default 5 check (sm in (1,2)),
  f float8 default 0.5 check (f in (1,2)),
  ts timestamptz default '2020-01-01' check (ts = any (array['2020-01-01'::date, '2021-01-01'::date])),
  m mood check (m in ('sad','ok')),
  tags varchar(10)[] default array['a','b'] check (tags <@ array['a','b']::varchar[]),
  tags2 text[] check (tags2 <@ array['a','b']) check (tags2 && array['a'::varchar,'b']::text[]),
  ds d_status check (ds in ('a','b')),
  nm name check (nm in ('a','b')),
  b bool default true, p pair, j jsonb default '{}', iv interval default '1 day', iv2 interval day to second check (iv2 in ('1 day', '2 days')),
  bt bit(3) default b'101' check (bt in (b'101', b'111')),
  a int, a2 int,
  check (a between 1 and 5 and a2 > 0), check (a2 > 0 and a between 1 and 5), check (a not between 1 and 5 or a2 > 0),
  check (a between symmetric 1 and 5 and a2 > 1), check (a between symmetric 1 and 5 or a2 > 1),
  check ((a > 1 and a < 5) and a2 = 3), check (a > 1 and (a < 5 and a2 = 3)), check (((a>1 or a <5) or a2 = 3) and a2 = 4),
  check (a in (1,2,a2)), check (a in (1,a2) or a > 5), check ((a,a2) = (1,2) and a2 > 7), check ((a,a2) in ((1,2),(3,4)) or a2 > 8), check ((a,a2) < (3,4)),
  check ((a,a2) is distinct from (1,2)), check (a is not distinct from a2 and a > 2), 
  check (status = any (array['a'::varchar(20),'b'::varchar(20)])), check (status = any (array['a','b']::varchar[])), check (status::text = any(array['a','b'])),
  check (status = any ('{a,b}')), check (status like any (array['a%','b%'])), check (status ~ any (array['a'::varchar,'b'])), check (lower(status) in ('a','b')),
  check (case when status in ('a','b') then a between 1 and 5 and a2 > 3 else a > 0 end), check (case status when 'a' then true else false end), 
  check (coalesce(status,'x') in ('x','y')), check (nullif(status,'x') = 'y'), check (not (a between 1 and 5 and a2 > 3)), check (status in ('a', null)),
  check (status::varchar(5) in ('a','b')), check (substring(status from 1 for 2) = 'ab'), check (status similar to 'a%'), check (status like 'a!%' escape '!'),
  check (array[status, 'x']::text[] <> (array['a','b']::varchar[])::text[]), check (array[array['a','b'],array['c','d']]::varchar[]::text[] <> array[array[status::varchar(3),s2]]::text[]),
  check (array[['a','b'],[s2,status]]::text[] <> '{}'),
  check (extract(year from ts) > 2000), check (ts at time zone 'UTC' > '2020-01-01'), check ((ts, ts) overlaps (ts, interval '1 day')),
  check (a = -1 or a = +1 or a = - a2), check (a::text || status || 'x' <> 'abc'), check (p = row(1,'x')::pair), check ((p).b in ('x','y')),
  check (b is true), check (b and a > 1 and not b), check (b is not unknown), check (array_position(array['a','b'], status) > 0), check (status collate "C" in ('a','b')),
  check ((array['a'::varchar,'b'])[1] = status), check (m::text in ('sad')), check (status > all (array['a','b'])),
  check (j ->> 'x' in ('a','b')), check ((j -> 'x')::text = 'y'), check (status <> '' and status is not null and status in ('a','b')), check (iv > '1 day'::interval * 2),
  g varchar(20) generated always as (case when status in ('a','b') then 'x' else 'y' end) stored,
  g2 bool generated always as (a between 1 and 5 and a2 > 3) stored
);
create index i1 on t (lower(status)) where status in ('a','b');
create index i2 on t ((status in ('a','b')), (a between 1 and 5 and a2 > 0));
create index i3 on t (id) where a between 1 and 5 and a2 > 0;
create unique index i4 on t (coalesce(status, 'x'), (a::text || status));
create statistics st on (status in ('a','b')), (lower(status)) from t;
create view v1 as select id, status in ('a','b') as x, case when status in ('c','d') then 'p' else status end as y from t where a between 1 and 5 and a2 > 0;
create view v2 as select t.id as tid, u.* from t join t as u on t.status in ('a','b') and t.id = u.id left join (select id as vid, x from v1) vv on vv.vid = t.id where t.status::text = any (array['a'::varchar,'b']) order by 1;
create view v3 as select 1 as n, 'a' as x union select 2.5, 'b' union all select null, null order by 1 limit 10;
create view v4 as with w as (select * from t where status in ('a','b')) select id, count(*) filter (where status in ('a','b')) c, row_number() over (partition by status order by id rows between 1 preceding and current row) r from w group by id, status having count(*) between 1 and 5 and max(a) > 3;
create view v5 as select * from t where status in (select status from t) and id not in (select id from t where status in ('a','b')) and exists (select 1 from t x where x.status not in ('a','b'));
create view v6 as select * from (values (1,'a'),(2,'b')) v(a,b) where b in ('a','b');
create view v7 as select g.g as g0, x.* from generate_series(1,3) g, lateral (select status, g from t where id = g.g and status in ('a','b')) x;
create view v8 as select * from (values (1,'a'::varchar),(2,null)) v where column2 in ('a','b');
create view v9 as select distinct on (status) id, status::varchar(3), (t.*)::text as w, t as whole, array(select status from t) as arr, (select max(status) from t) in ('a','b') as q from t;
create view v10 as select cast(status as char(3)) || cast('a' as varchar(2)) as c, interval '1' day as i, date '2020-01-01' as d, 'x'::varchar in ('a','b') as z, now() between now() and now() and true as t, greatest(status,'a') g, grouping(status) gr from t group by rollup(status);
create materialized view mv as select id from t where status in ('a','b') and a between 1 and 5 and a2 > 0;
create policy po on t using (status in ('a','b') and a between 1 and 5 and a2 > 2) with check (status = any (array['a','b']::varchar[]));
create function tf() returns trigger language plpgsql as 'begin return new; end';
create trigger tr before update on t for each row when (new.status in ('a','b') and new.a between 1 and 5 and old.a2 > 0) execute function tf();
create rule ru as on update to v1 where new.y in ('a','b') do instead update t set status = new.y where id = new.id and status in ('c','d');
create function sf(x varchar default 'a', y varchar[] default array['a','b']) returns bool language sql begin atomic select x in ('a','b') and length(x) between 1 and 5 and x <> 'q'; end;
create function sf2(x varchar) returns varchar language sql return case when x in ('a','b') then x else 'c' end;
create table pt (a int, s varchar) partition by list (lower(s));
create table pt1 partition of pt for values in ('a','b');
create table pr (a int, s varchar(9)) partition by range ((case when s in ('a','b') then 1 else a end));
create table pr1 partition of pr for values from (1) to (5);
create table ex (r int4range, s varchar, exclude using gist (r with &&) where (s in ('a','b')));
create table td (int_two int2, int_four int4, int_eight int8);
create table td1 (int_four int4 default 4, int_eight int8, int_two int2, own text, check (int_four > 1));
alter table td1 inherit td;
