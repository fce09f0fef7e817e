{# Business minutes between two moments are the difference of two numbers: minutes of office time since a fixed Monday. Pure
   arithmetic on the day number, so no calendar has to cover the days, and no array is made per row. #}
{% macro business_minutes_a_day() -%}
  {{ (var('business_day_end_hour') | int - var('business_day_start_hour') | int) * 60 }}
{%- endmacro %}

{% macro business_minutes_before(day) -%}
  {%- set number = "date_diff(" ~ day ~ ", date '1970-01-05', day)" -%}
  ((cast(floor({{ number }} / 7) as int64) * 5 + least(mod(mod({{ number }}, 7) + 7, 7), 5)) * {{ business_minutes_a_day() }})
{%- endmacro %}

{% macro business_minutes_at(moment) -%}
  {%- set local = "datetime(" ~ moment ~ ", '" ~ var('reporting_time_zone') ~ "')" -%}
  {%- set minute = 'extract(hour from ' ~ local ~ ') * 60 + extract(minute from ' ~ local ~ ')' -%}
  ({{ business_minutes_before('date(' ~ local ~ ')') }}
    + if(extract(dayofweek from {{ local }}) in (1, 7), 0,
        least(greatest({{ minute }} - {{ var('business_day_start_hour') | int * 60 }}, 0), {{ business_minutes_a_day() }})))
{%- endmacro %}
