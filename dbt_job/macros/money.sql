{# Units of the reporting currency for one unit of `currency`, given the row of slv_fx_daily joined as `rates`. #}
{% macro fx_rate(currency, rates) -%}
  if({{ currency }} = '{{ var("reporting_currency") }}', numeric '1', {{ rates }}.rate)
{%- endmacro %}

{% macro fx_rate_date(currency, day, rates) -%}
  if({{ currency }} = '{{ var("reporting_currency") }}', {{ day }}, {{ rates }}.rate_date)
{%- endmacro %}

{# An amount in the reporting currency. The cast changes nothing on BigQuery (NUMERIC times NUMERIC is NUMERIC); it says the type. #}
{% macro reporting(amount, rate='fx_rate') -%}
  cast({{ amount }} * {{ rate }} as numeric)
{%- endmacro %}
