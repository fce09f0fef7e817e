{#- Whole years around the facts, so that every report's axis is closed. A typing error like year 9999 gets its one day and
    does not stretch the calendar over millennia. #}
with days as (
  select order_date as d from {{ ref('slv_crm__orders') }}
  union distinct select created_date from {{ ref('slv_crm__support_tickets') }}
  union distinct select date(resolved_at, '{{ var("reporting_time_zone") }}') from {{ ref('slv_crm__support_tickets') }}
),
span as (
  select date_trunc(min(d), year) as first_day, date_sub(date_add(date_trunc(max(d), year), interval 1 year), interval 1 day) as last_day
  from days where d between date '2000-01-01' and date '2099-12-31'
),
calendar as (
  select d from span, unnest(generate_date_array(first_day, last_day)) as d
  union distinct select d from days where d is not null
)
select
  d as date_key,
  extract(year from d) as year,
  extract(quarter from d) as quarter,
  extract(month from d) as month,
  cast(date_trunc(d, month) as date) as month_start,
  format_date('%B', d) as month_name,
  extract(isoyear from d) as iso_year,
  extract(isoweek from d) as iso_week,
  cast(date_trunc(d, isoweek) as date) as week_start,
  mod(extract(dayofweek from d) + 5, 7) + 1 as day_of_week,
  format_date('%A', d) as day_name,
  extract(dayofweek from d) in (1, 7) as is_weekend,
  {{ business_minutes_before('d') }} as business_minutes_before
from calendar
