{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'order_id'],
    cluster_by=['order_id'], on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.orders') -%}
{%- set columns = {
    'contact_id': 'contact_id', 'contact_email_hash': email_hash('contact_email'), 'order_at': 'order_at',
    'order_date': "date(order_at, '" ~ var('reporting_time_zone') ~ "')",
    'order_type': "case when amount < 0 then 'credit' when amount is not null then 'sale' end", 'status': 'lower(status)',
    'amount': 'amount', 'currency': 'upper(currency)', 'tax': 'tax', 'shipping': 'shipping', 'discount': 'discount',
    'refund': 'refund', 'item_count': 'item_count', 'campaign_id': 'campaign_id', 'channel': 'channel',
    'payment_method': 'lower(payment_method)', 'utm_source': 'utm_source', 'utm_medium': 'utm_medium',
    'utm_campaign': 'utm_campaign', 'utm_id': 'utm_id', 'transaction_id': 'transaction_id',
    'user_pseudo_id': 'user_pseudo_id', 'is_repeat_flagged': 'is_repeat', 'updated_at': 'updated_at'} %}
{{ current_rows('crm.orders', versions('crm.orders', ['order_id'], columns, slices), ['order_id'], columns | list, slices) }}
