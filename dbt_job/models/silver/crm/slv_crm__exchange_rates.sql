{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'rate_date', 'currency'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.exchange_rates') -%}
{%- set columns = {'currency': 'upper(currency)', 'quote_currency': 'upper(quote_currency)', 'rate': 'rate'} -%}
{%- set key = ['rate_date', 'currency'] %}
{{ current_rows('crm.exchange_rates', versions('crm.exchange_rates', key, columns, slices), key, ['quote_currency', 'rate'], slices) }}
